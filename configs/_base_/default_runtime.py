# What every configuration shares: the plugin, the hooks, the log and the environment.

custom_imports = dict(imports=['kmcl_mm'], allow_failed_imports=False)
default_scope = 'mmpretrain'
# Checkpoints that cannot run code and are written whole, and training without a GPU.
runner_type = 'KMCLRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    check_labels=dict(type='CheckLabelsHook'),
    single_image=dict(type='SingleImageHook'),
    # A loss that is not finite stops the training; action='skip' leaves its batch out.
    finite_loss=dict(type='FiniteLossHook', action='stop'),
    # Thresholds and calibration that tools/calibrate.py has put into a checkpoint.
    fitted_thresholds=dict(type='FittedThresholdsHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # An image that cannot be read stops the training; action='skip' trains on another one and lists it at the end.
    unreadable_images=dict(type='UnreadableImagesHook', action='stop'),
    # Several processes validate and go on with the same statistics of their norms.
    average_buffers=dict(type='AverageBuffersHook'),
    # A training that was killed goes on as if it had not been.
    seeded_epochs=dict(type='SeededEpochsHook'),
    pending_validation=dict(type='PendingValidationHook'),
    # The better of the raw and the averaged weights is kept, and the last two checkpoints.
    checkpoint=dict(type='BestWeightsHook', interval=1, max_keep_ckpts=2, save_best='multi-label/mAP', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
)

env_cfg = dict(
    cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
# What counts where a resumed training has other settings than its checkpoint: 'checkpoint', 'config', or None to stop.
resume_schedule = None
randomness = dict(seed=0, deterministic=False)

val_cfg = dict()
test_cfg = dict()
