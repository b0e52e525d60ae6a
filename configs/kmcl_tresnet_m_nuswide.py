# KMCL, TResNet-M at 224 px on NUS-WIDE. Reproduces no published number.
#
# Needs data/nuswide with nus_wid_data.csv and images/. timm fetches the ImageNet-21K weights. One GPU.
#     python tools/train.py configs/kmcl_tresnet_m_nuswide.py

_base_ = [
    '_base_/models/kmcl_tresnet_m.py',
    '_base_/datasets/nuswide.py',
    '_base_/schedules/recipe_m.py',
    '_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=81))
