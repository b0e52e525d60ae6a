# The published recipe's images: squash to S x S, cutout of an S/2 square in one random colour, two random operations.
#
# A pipeline for each size, and for chest X-rays one with a random affine map in place of the random operations.
# docs/augmentation.md says what each transform does, and how the host's RandAugment differs from UDARandAugment.


def _load(size):
    return [
        dict(type='LoadCheckedImage', min_size=size),
        dict(type='Resize', scale=(size, size), interpolation='bilinear'),
    ]


def _train_pipeline(size, policy):
    return [*_load(size), dict(type='RandomColorCutout', ratio=0.5), policy, dict(type='PackInputs')]


def _xray_train_pipeline(size):
    return [
        *_load(size),
        dict(type='RandomColorCutout', ratio=0.5),
        dict(type='NumpyToPIL', to_rgb=True),
        dict(type='torchvision/RandomAffine', degrees=45, translate=(0.15, 0.15), scale=(0.85, 1.15)),
        dict(type='PILToNumpy', to_bgr=True),
        dict(type='PackInputs'),
    ]


def _test_pipeline(size):
    return [
        *_load(size),
        # gt_label_difficult is there for PASCAL VOC only.
        dict(type='PackInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'gt_label_difficult')),
    ]


rand_augment = dict(type='UDARandAugment', num_operations=2, probability=0.5, pad_val=128)
# The same operations of the host: the level is continuous in 0 .. 9 of 9, and rotation is to both sides.
host_rand_augment = dict(
    type='RandAugment',
    policies=[
        dict(type='Invert'),
        dict(type='Cutout', magnitude_range=(0, 20)),
        dict(type='Sharpness', magnitude_range=(0, 0.9)),
        dict(type='ColorTransform', magnitude_range=(0, 0.9)),
        dict(type='Contrast', magnitude_range=(0, 0.9)),
        dict(type='Brightness', magnitude_range=(0, 0.9)),
        dict(type='AutoContrast'),
        dict(type='Equalize'),
        dict(type='Posterize', magnitude_range=(8, 4)),
        dict(type='Solarize', magnitude_range=(256, 0)),
        dict(type='Shear', magnitude_range=(0, 0.3), direction='horizontal'),
        dict(type='Shear', magnitude_range=(0, 0.3), direction='vertical'),
        dict(type='Translate', magnitude_range=(0, 150 / 331), direction='horizontal'),
        dict(type='Translate', magnitude_range=(0, 150 / 331), direction='vertical'),
        dict(type='Rotate', magnitude_range=(0, 30)),
    ],
    num_policies=2,
    magnitude_level=9,
    magnitude_std='inf',
    total_level=9,
    hparams=dict(pad_val=128),
)

train_pipeline_224, train_pipeline_448 = _train_pipeline(224, rand_augment), _train_pipeline(448, rand_augment)
host_train_pipeline_224 = _train_pipeline(224, host_rand_augment)
host_train_pipeline_448 = _train_pipeline(448, host_rand_augment)
xray_train_pipeline_224, xray_train_pipeline_448 = _xray_train_pipeline(224), _xray_train_pipeline(448)
test_pipeline_224, test_pipeline_448 = _test_pipeline(224), _test_pipeline(448)

data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True, to_onehot=True)
# The images of a batch are stacked where they are loaded: one tensor passes between the processes, not one an image.
# Workers live as long as the training: starting eight anew for each epoch takes time.
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
test_dataloader = val_dataloader

# mAP, and CP, CR, CF1, OP, OR, OF1 at threshold 0.8, over all labels and over each image's top 3.
val_evaluator = [dict(type='AveragePrecision'), dict(type='MultiLabelF1', thr=0.8, topk=3)]
test_evaluator = [*val_evaluator, dict(type='PerLabelAP')]
