# KMCL, TResNet-M at 224 px on NIH ChestX-ray14. Published mAP: 30.0 (arXiv:2307.03967).
#
# Needs data/chestxray14 with Data_Entry_2017*.csv, train_val_list.txt, test_list.txt and images/. timm fetches the
# ImageNet-21K weights. One GPU.
#     python tools/train.py configs/kmcl_tresnet_m_chestxray14.py
# The published number was measured on the first 10 % of the rows that have a finding; this is on all of them. For 10 %:
#         --cfg-options {train,val,test}_dataloader.dataset.first_fraction=0.1

_base_ = [
    '_base_/models/kmcl_tresnet_m.py',
    '_base_/datasets/chestxray14.py',
    '_base_/schedules/recipe_m.py',
    '_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=14))
