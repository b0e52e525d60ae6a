# NUS-WIDE, 81 concepts, at 224 px. Expects data/nuswide with nus_wid_data.csv and images/ (docs/data.md).

_base_ = './recipe.py'

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline


def _split(split, pipeline):
    return dict(type='NUSWide', data_root='data/nuswide', split=split, test_mode=split == 'val', pipeline=pipeline)


data_preprocessor = dict(num_classes=81)

train_dataloader = dict(dataset=_split('train', train_pipeline(224)))
val_dataloader = dict(dataset=_split('val', test_pipeline(224)))
test_dataloader = val_dataloader
