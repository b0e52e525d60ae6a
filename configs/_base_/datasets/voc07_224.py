# PASCAL VOC 2007, 20 labels, trainval to test, at 224 px. Expects data/VOCdevkit/VOC2007.
# A label with only `difficult` objects is a positive for training and is left out of its average precision.

_base_ = './recipe.py'

data_preprocessor = dict(num_classes=20)

train_dataloader = dict(
    dataset=dict(
        type='VOCMultiLabel',
        data_root='data/VOCdevkit/VOC2007',
        split='trainval',
        pipeline={{_base_.train_pipeline_224}},
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='VOCMultiLabel',
        data_root='data/VOCdevkit/VOC2007',
        split='test',
        test_mode=True,
        pipeline={{_base_.test_pipeline_224}},
    ),
)
test_dataloader = val_dataloader

# A label with only difficult objects is left out of its average precision; for the other metrics it is absent.
val_evaluator = [dict(type='VOCAveragePrecision'), dict(type='MultiLabelF1', thr=0.8, topk=3)]
test_evaluator = [*val_evaluator, dict(type='PerLabelAP')]
