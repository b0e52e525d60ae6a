# NIH ChestX-ray14, 14 findings, by NIH's lists of patients, at 224 px. Expects data/chestxray14 (docs/data.md).
# Images without a finding are left out, as in the published runs; filter_empty_gt=False keeps them as negatives.

_base_ = './recipe.py'

from kmcl_mm.datasets.recipe import test_pipeline, xray_train_pipeline


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

train_dataloader = dict(dataset=_split('train_val', xray_train_pipeline(224)))
val_dataloader = dict(dataset=_split('test', test_pipeline(224)))
test_dataloader = val_dataloader

# AUROC of each finding and its mean, which the literature on this data set reports.
val_evaluator = [*_base_.val_evaluator, dict(type='MultiLabelTorchMetrics', items=('auroc',))]
test_evaluator = [*_base_.test_evaluator, dict(type='MultiLabelTorchMetrics', items=('auroc',))]
