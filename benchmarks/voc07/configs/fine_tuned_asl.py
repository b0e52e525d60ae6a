# EfficientNet-Lite0 trained end to end at 128 px by the asymmetric loss alone: the baseline of the fine-tuned rows.
#
# The published recipe but for what a machine without a GPU has no hours for: 128 px instead of 224, 4 epochs instead of
# 40. The averaged weights follow within a twentieth of the training, as 0.9997 does in the published one.

_base_ = '../../../configs/asl_efficientnet-lite0_voc07.py'

train_pipeline = [
    dict(type='LoadCheckedImage', min_size=128),
    dict(type='Resize', scale=(128, 128), interpolation='bilinear'),
    dict(type='RandomColorCutout', ratio=0.5),
    dict(type='UDARandAugment', num_operations=2, probability=0.5, pad_val=128),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadCheckedImage', min_size=128),
    dict(type='Resize', scale=(128, 128), interpolation='bilinear'),
    dict(type='PackInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'gt_label_difficult')),
]

model = dict(backbone=dict(type='TIMMBackbone'))
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))

param_scheduler = dict(eta_max=1e-3, end=4)
# Images are looked at once, after the training.
train_cfg = dict(max_epochs=4, val_begin=1000)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best=None))
custom_hooks = [
    dict(type='ChannelsLastHook'),
    dict(type='AverageLossesHook'),
    dict(type='EMAHook', momentum=0.05, update_buffers=True),
]
