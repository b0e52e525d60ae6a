# KMCL, TResNet-L at 448 px on MS-COCO 2014. Published mAP: 88.6 (arXiv:2307.03967, table of COCO results).
#
# Needs data/coco with annotations/, train2014/ and val2014/; timm fetches the ImageNet-21K weights. Four GPUs, 32
# images each; on another number keep the total batch at 128 (train_dataloader.batch_size).
#     tools/dist_train.sh configs/kmcl_tresnet_l_coco.py 4

_base_ = [
    '_base_/models/kmcl_tresnet_l.py',
    '_base_/datasets/coco2014.py',
    '_base_/schedules/recipe_l.py',
    '_base_/default_runtime.py',
]

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline

train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline(448)))
val_dataloader = test_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline(448)))
