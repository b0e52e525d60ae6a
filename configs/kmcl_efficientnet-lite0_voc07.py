# KMCL on PASCAL VOC 2007 for a small machine: the head alone is trained, on EfficientNet-Lite0 features at 224 px.
#
# Reproduces no published number: 12 epochs of Adam 1e-3 with OneCycle, squash to 224 px, no augmentation. Needs
# data/VOCdevkit/VOC2007 and ImageNet weights of timm's tf_efficientnet_lite0 in a file:
#     python tools/train.py configs/kmcl_efficientnet-lite0_voc07.py --cfg-options \
#         model.backbone.checkpoint_path=FILE
# To fine-tune the backbone as well, add a lower rate:
#         model.backbone.type=TIMMBackbone param_scheduler.eta_max=3e-4

_base_ = ['_base_/datasets/voc07.py', '_base_/schedules/adam_onecycle.py', '_base_/default_runtime.py']

from kmcl_mm.datasets.recipe import test_pipeline

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='FrozenTIMMBackbone',
        model_name='tf_efficientnet_lite0',
        checkpoint_path='weights/tf_efficientnet_lite0.pth',
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='KMCLHead',
        num_classes=20,
        in_channels=1280,
        covariance='anisotropic',
        similarity='bhattacharyya',
        loss=dict(type='KMCLLoss', variant='reference', gather_distributed=True, asl_batch_size=64),
    ),
)

# This network was trained on images in [-1, 1].
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3)

train_dataloader = dict(num_workers=2, dataset=dict(pipeline=test_pipeline(224)))
val_dataloader = dict(num_workers=2)
test_dataloader = dict(num_workers=2)

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(eta_max=1e-3, end=12)
train_cfg = dict(max_epochs=12, val_interval=12)
custom_hooks = [dict(type='AverageLossesHook')]
