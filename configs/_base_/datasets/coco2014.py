# MS-COCO 2014, 80 labels, at 224 px. Expects data/coco/{annotations,train2014,val2014}.

_base_ = './recipe.py'

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline

data_preprocessor = dict(num_classes=80)

train_dataloader = dict(
    dataset=dict(
        type='CocoMultiLabel',
        data_root='data/coco',
        ann_file='annotations/instances_train2014.json',
        data_prefix='train2014',
        pipeline=train_pipeline(224),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='CocoMultiLabel',
        data_root='data/coco',
        ann_file='annotations/instances_val2014.json',
        data_prefix='val2014',
        test_mode=True,
        pipeline=test_pipeline(224),
    ),
)
test_dataloader = val_dataloader
