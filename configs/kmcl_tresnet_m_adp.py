# KMCL, TResNet-M at 224 px on ADP histology. Published mAP: 95.1 (arXiv:2307.03967).
#
# Needs data/adp, the release with its splits/. timm fetches the ImageNet-21K weights. One GPU.
#     python tools/train.py configs/kmcl_tresnet_m_adp.py
# The level that the published number is of is not recorded here; this is L1. Another one, such as L3 with 33 labels:
#         --cfg-options {train,val,test}_dataloader.dataset.level=L3 model.head.num_classes=33 \
#         data_preprocessor.num_classes=33

_base_ = [
    '_base_/models/kmcl_tresnet_m.py',
    '_base_/datasets/adp.py',
    '_base_/schedules/recipe_m.py',
    '_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=9))
