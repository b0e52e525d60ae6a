# NIH ChestX-ray14, 14 findings, by NIH's lists of patients, at 224 px. Expects data/chestxray14 (docs/data.md).
# Images without a finding are left out, as in the published runs; filter_empty_gt=False keeps them as negatives.

_base_ = './recipe.py'


def _split(split, pipeline):
    return dict(
        type='ChestXray14',
        data_root='data/chestxray14',
        split=split,
        first_fraction=1.0,
        test_mode=split == 'test',
        pipeline=pipeline,
    )


data_preprocessor = dict(num_classes=14, mean=[255 * 0.5058] * 3, std=[255.0] * 3)

train_dataloader = dict(dataset=_split('train_val', {{_base_.xray_train_pipeline_224}}))
val_dataloader = dict(dataset=_split('test', {{_base_.test_pipeline_224}}))
test_dataloader = val_dataloader
