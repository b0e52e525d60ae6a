# The published recipe's images: squash to S x S, cutout of an S/2 square in one random colour, two random operations.
#
# Those operations are the package randaugment's, in the host's transforms: each is drawn uniformly and applied with
# probability 0.5, with a sign at random, and the empty area is filled with grey 128. The package draws a level from
# 1 .. 9 of 0 .. 9; the host's level is continuous in 0 .. 9 of 9.


def _train_pipeline(size):
    return [
        dict(type='LoadCheckedImage'),
        dict(type='Resize', scale=(size, size), interpolation='bilinear'),
        dict(type='RandomColorCutout', ratio=0.5),
        dict(
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
        ),
        dict(type='PackInputs'),
    ]


def _test_pipeline(size):
    return [
        dict(type='LoadCheckedImage'),
        dict(type='Resize', scale=(size, size), interpolation='bilinear'),
        # gt_label_difficult is there for PASCAL VOC only.
        dict(type='PackInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'gt_label_difficult')),
    ]


train_pipeline_224, test_pipeline_224 = _train_pipeline(224), _test_pipeline(224)
train_pipeline_448, test_pipeline_448 = _train_pipeline(448), _test_pipeline(448)

data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True, to_onehot=True)
train_dataloader = dict(batch_size=64, num_workers=8, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=64, num_workers=8, sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
