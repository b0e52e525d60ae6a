# The published recipe at 448 px: Adam 4e-4, OneCycle a step, 80 epochs, batch 128 in all, EMA 0.9997, mixed precision.

optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='Adam', lr=4e-4, weight_decay=1e-4),
    # Weight decay on weights only: none on biases, norms or any 1-d parameter.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
param_scheduler = dict(
    type='OneCycleLR', eta_max=4e-4, pct_start=0.2, begin=0, end=80, by_epoch=True, convert_to_iter_based=True
)
train_cfg = dict(by_epoch=True, max_epochs=80, val_interval=1)
auto_scale_lr = dict(base_batch_size=128)

custom_hooks = [
    dict(type='AverageLossesHook'),
    dict(type='EMAHook', momentum=3e-4, update_buffers=True, evaluate_on_ema=True, evaluate_on_origin=True),
]
