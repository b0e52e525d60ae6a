# Adam with OneCycle a step, 20 % warm-up. OneCycle sets the rate: another one goes into param_scheduler.eta_max (a
# group's lr_mult and --auto-scale-lr multiply it), another number of epochs into param_scheduler.end as well as
# train_cfg.max_epochs.

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=2e-4, weight_decay=1e-4),
    # Weight decay on weights only: none on biases, norms or any 1-d parameter.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
param_scheduler = dict(
    type='OneCycleByGroupLR', eta_max=2e-4, pct_start=0.2, begin=0, end=40, by_epoch=True, convert_to_iter_based=True
)
train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=1)
# The images of all processes in a step that the rate is meant for, for --auto-scale-lr.
auto_scale_lr = dict(base_batch_size=64)
