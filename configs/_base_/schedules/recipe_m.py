# The published recipe at 224 px: Adam 2e-4, OneCycle a step, 40 epochs, batch 64 in all, EMA 0.9997, mixed precision.

_base_ = './adam_onecycle.py'

optim_wrapper = dict(type='AmpOptimWrapper')
custom_hooks = [
    dict(type='AverageLossesHook'),
    dict(type='EMAHook', momentum=3e-4, update_buffers=True, evaluate_on_ema=True, evaluate_on_origin=True),
]
