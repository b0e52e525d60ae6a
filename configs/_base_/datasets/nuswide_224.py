# NUS-WIDE, 81 concepts, at 224 px. Expects data/nuswide with nus_wid_data.csv and images/ (docs/data.md).

_base_ = './recipe.py'


def _split(split, pipeline):
    return dict(type='NUSWide', data_root='data/nuswide', split=split, test_mode=split == 'val', pipeline=pipeline)


data_preprocessor = dict(num_classes=81)

train_dataloader = dict(dataset=_split('train', {{_base_.train_pipeline_224}}))
val_dataloader = dict(dataset=_split('val', {{_base_.test_pipeline_224}}))
test_dataloader = val_dataloader
