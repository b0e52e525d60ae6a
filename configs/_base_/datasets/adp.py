# ADP histology, the 9 labels of level L1, at 224 px. Expects the release in data/adp, with its splits/ (docs/data.md).

_base_ = './recipe.py'

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline


def _split(split, pipeline):
    return dict(
        type='ADP', data_root='data/adp', split=split, level='L1', test_mode=split != 'train', pipeline=pipeline
    )


data_preprocessor = dict(
    num_classes=9,
    mean=[255 * value for value in (0.8123, 0.6403, 0.8190)],
    std=[255 * value for value in (0.1813, 0.2573, 0.1680)],
)

train_dataloader = dict(dataset=_split('train', train_pipeline(224)))
val_dataloader = dict(dataset=_split('valid', test_pipeline(224)))
test_dataloader = dict(dataset=_split('test', test_pipeline(224)))
