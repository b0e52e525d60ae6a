# KMCL, TResNet-L at 448 px on ADP histology. Published mAP: 96.5 (arXiv:2307.03967).
#
# Needs data/adp, the release with its splits/. timm fetches the ImageNet-21K weights. Four GPUs, 32 images each; on
# another number keep the total batch at 128 (train_dataloader.batch_size).
#     tools/dist_train.sh configs/kmcl_tresnet_l_adp.py 4
# The level that the published number is of is not recorded here; this is L1. Another one, such as L3 with 33 labels:
#         --cfg-options {train,val,test}_dataloader.dataset.level=L3 model.head.num_classes=33 \
#         data_preprocessor.num_classes=33

_base_ = [
    '_base_/models/kmcl_tresnet_l.py',
    '_base_/datasets/adp.py',
    '_base_/schedules/recipe_l.py',
    '_base_/default_runtime.py',
]

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline

model = dict(head=dict(num_classes=9))

train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline(448)))
val_dataloader = test_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline(448)))
