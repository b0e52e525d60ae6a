# The published recipe at 448 px: Adam 4e-4, OneCycle a step, 80 epochs, batch 128 in all; the rest as at 224 px.

_base_ = './recipe_m.py'

optim_wrapper = dict(optimizer=dict(lr=4e-4))
param_scheduler = dict(eta_max=4e-4, end=80)
train_cfg = dict(max_epochs=80)
auto_scale_lr = dict(base_batch_size=128)
