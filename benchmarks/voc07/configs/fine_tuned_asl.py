# EfficientNet-Lite0 trained end to end at 128 px by the asymmetric loss alone: the baseline of the fine-tuned rows.
#
# The published recipe but for what a machine without a GPU has no hours for: 128 px instead of 224, 4 epochs instead of
# 40. The averaged weights follow within a twentieth of the training, as 0.9997 does in the published one.

_base_ = '../../../configs/asl_efficientnet-lite0_voc07.py'

from kmcl_mm.datasets.recipe import test_pipeline, train_pipeline

channels_last = True
model = dict(backbone=dict(type='TIMMBackbone'))
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline(128)))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline(128)))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline(128)))

param_scheduler = dict(eta_max=1e-3, end=4)
# Images are looked at once, after the training.
train_cfg = dict(max_epochs=4, val_begin=1000)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best=None))
custom_hooks = [
    dict(type='AverageLossesHook'),
    dict(type='EMAHook', momentum=0.05, update_buffers=True),
]
