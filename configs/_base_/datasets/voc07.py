# PASCAL VOC 2007, 20 labels, trainval to test, at 224 px. Expects data/VOCdevkit/VOC2007.
# A label with only `difficult` objects is a positive for training and is left out of its average precision.

_base_ = './recipe.py'

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline

data_preprocessor = dict(num_classes=20)

train_dataloader = dict(
    dataset=dict(
        type='VOCMultiLabel',
        data_root='data/VOCdevkit/VOC2007',
        split='trainval',
        pipeline=train_pipeline(224),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='VOCMultiLabel',
        data_root='data/VOCdevkit/VOC2007',
        split='test',
        test_mode=True,
        pipeline=test_pipeline(224),
    ),
)
test_dataloader = val_dataloader
