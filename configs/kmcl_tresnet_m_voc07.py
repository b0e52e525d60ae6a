# KMCL, TResNet-M at 224 px on PASCAL VOC 2007. Published mAP: 95.2 (arXiv:2307.03967, table of VOC results).
#
# Needs data/VOCdevkit/VOC2007 with JPEGImages/, Annotations/ and ImageSets/; timm fetches the ImageNet-21K weights.
# One GPU.
#     python tools/train.py configs/kmcl_tresnet_m_voc07.py

_base_ = [
    '_base_/models/kmcl_tresnet_m.py',
    '_base_/datasets/voc07.py',
    '_base_/schedules/recipe_m.py',
    '_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=20))
