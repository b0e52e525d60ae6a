# KMCL on scenes of handwritten digits that are drawn on the fly: minutes on two CPU cores, no download.
#
# The network is TResNet-M's design with fewer and narrower blocks, from scratch, at 64 px. The losses are the `exact`
# variant, contrasted among the images of all processes and with a balance that does not depend on their number; batch,
# rate and EMA fit a run of 620 steps.
#     python tools/train.py configs/kmcl_tresnet_m_digits.py

_base_ = ['_base_/models/kmcl_tresnet_m.py', '_base_/schedules/adam_onecycle.py', '_base_/default_runtime.py']

model = dict(
    backbone=dict(model_name='tresnet_m', pretrained=False, layers=(1, 1, 2, 1), width_factor=0.5),
    head=dict(
        num_classes=10,
        in_channels=1024,
        thr=0.5,
        loss=dict(variant='exact', gather_distributed=True, asl_batch_size=64),
    ),
)

data_preprocessor = dict(num_classes=10, mean=[127.5] * 3, std=[63.75] * 3, to_onehot=True)

train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='DigitScenes', split='train', num_scenes=4000, pipeline=[dict(type='PackInputs')]),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DigitScenes',
        split='test',
        num_scenes=1000,
        test_mode=True,
        # Scenes have this size; pictures that tools/predict.py is given have any.
        pipeline=[dict(type='Resize', scale=(64, 64)), dict(type='PackInputs')],
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='PartialLabelAP'), dict(type='MultiLabelF1')]
test_evaluator = [*val_evaluator, dict(type='PerLabelAP')]

optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = dict(eta_max=2e-3, end=10)
train_cfg = dict(max_epochs=10, val_interval=2)
default_hooks = dict(logger=dict(interval=20))
custom_hooks = [
    dict(type='AverageLossesHook'),
    dict(type='EMAHook', momentum=0.01, update_buffers=True, evaluate_on_ema=True, evaluate_on_origin=True),
]
