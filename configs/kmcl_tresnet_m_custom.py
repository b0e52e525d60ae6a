# KMCL on your own images: TResNet-M at 224 px with the published recipe, but for what is set below for data of any
# size. Change the three lines with a number.
#
# The folder holds images/ and two tables, train.csv and val.csv (for Parquet change the ending in `_split` too). One
# row per image: its file's name in the first column, then one column of label names joined by |, or one column of 0, 1
# and -1 (unknown) for each label.
# docs/data.md has the other layouts: a COCO JSON, a VOC folder, MMPretrain's JSON. Before you train:
#     python tools/check_dataset.py configs/kmcl_tresnet_m_custom.py
#     python tools/train.py configs/kmcl_tresnet_m_custom.py

_base_ = [
    '_base_/models/kmcl_tresnet_m.py',
    '_base_/datasets/recipe.py',
    '_base_/schedules/recipe_m.py',
    '_base_/default_runtime.py',
]

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline

data_root = 'data/custom'  # 1. the folder
classes = ('crack', 'rust', 'leak')  # 2. the labels
label_column = 'labels'  # 3. the column of joined label names; None: each label has a column of its own


def _split(name, pipeline):
    return dict(
        type='TableMultiLabel',
        data_root=data_root,
        ann_file=f'{name}.csv',
        data_prefix='images',
        label_column=label_column,
        metainfo=dict(classes=classes),
        test_mode=name != 'train',
        pipeline=pipeline,
    )


model = dict(head=dict(num_classes=len(classes), thr=0.5, loss=dict(gather_distributed=True, asl_batch_size=64)))
data_preprocessor = dict(num_classes=len(classes))

# The last, smaller batch of an epoch counts: a small data set may have no other.
train_dataloader = dict(drop_last=False, dataset=_split('train', train_pipeline(224)))
val_dataloader = dict(dataset=_split('val', test_pipeline(224)))
test_dataloader = val_dataloader

# Averaged weights that follow the raw ones quickly at first: a small data set has few steps.
custom_hooks = [
    dict(type='AverageLossesHook'),
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=3e-4,
        gamma=10,
        update_buffers=True,
        evaluate_on_ema=True,
        evaluate_on_origin=True,
    ),
]

val_evaluator = [dict(type='PartialLabelAP'), dict(type='MultiLabelF1')]
test_evaluator = [*val_evaluator, dict(type='PerLabelAP')]
