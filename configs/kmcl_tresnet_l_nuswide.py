# KMCL, TResNet-L at 448 px on NUS-WIDE. Reproduces no published number.
#
# Needs data/nuswide with nus_wid_data.csv and images/. timm fetches the ImageNet-21K weights. Four GPUs, 32 images
# each; on another number keep the total batch at 128 (train_dataloader.batch_size).
#     tools/dist_train.sh configs/kmcl_tresnet_l_nuswide.py 4

_base_ = [
    '_base_/models/kmcl_tresnet_l.py',
    '_base_/datasets/nuswide.py',
    '_base_/schedules/recipe_l.py',
    '_base_/default_runtime.py',
]

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline

model = dict(head=dict(num_classes=81))

train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline(448)))
val_dataloader = test_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline(448)))
