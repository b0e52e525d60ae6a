"""The published recipe's pipelines, for configurations."""

from typing import Any

Pipeline = list[dict[str, Any]]


def train_pipeline(size: int, **loading: Any) -> Pipeline:
    """Pipeline for training: resize to a square, paint a random cutout, apply two random operations.

    Args:
        size: Height and width, pixels.
        **loading: Other settings of ``LoadCheckedImage``, such as a ``window`` for 12-bit images.

    Returns:
        The configurations of the transforms.

    Source: the published recipe.

    Example:
        >>> [transform['type'] for transform in train_pipeline(224)]
        ['LoadCheckedImage', 'Resize', 'RandomColorCutout', 'UDARandAugment', 'PackInputs']
    """
    augmentation = dict(type='UDARandAugment', num_operations=2, probability=0.5, pad_val=128)
    return [*_load(size, loading), dict(type='RandomColorCutout', ratio=0.5), augmentation, dict(type='PackInputs')]


def xray_train_pipeline(size: int, **loading: Any) -> Pipeline:
    """Pipeline for training on chest X-rays: :func:`train_pipeline` with a random affine map as its only operation.

    Args:
        size: Height and width, pixels.
        **loading: Other settings of ``LoadCheckedImage``, such as a ``window`` for 12-bit images.

    Returns:
        The configurations of the transforms.

    Source: the published recipe.
    """
    return [
        *_load(size, loading),
        dict(type='RandomColorCutout', ratio=0.5),
        dict(type='NumpyToPIL', to_rgb=True),
        dict(type='torchvision/RandomAffine', degrees=45, translate=(0.15, 0.15), scale=(0.85, 1.15)),
        dict(type='PILToNumpy', to_bgr=True),
        dict(type='PackInputs'),
    ]


def test_pipeline(size: int, **loading: Any) -> Pipeline:
    """Pipeline for validation and testing: resize to a square.

    Args:
        size: Height and width, pixels.
        **loading: Other settings of ``LoadCheckedImage``, such as a ``window`` for 12-bit images.

    Returns:
        The configurations of the transforms.

    Source: the published recipe.
    """
    # Only PASCAL VOC has gt_label_difficult.
    meta_keys = ('img_path', 'ori_shape', 'img_shape', 'gt_label_difficult')
    return [*_load(size, loading), dict(type='PackInputs', meta_keys=meta_keys)]


def _load(size: int, loading: dict[str, Any]) -> Pipeline:
    return [
        dict(type='LoadCheckedImage', min_size=size, **loading),
        dict(type='Resize', scale=(size, size), interpolation='bilinear'),
    ]
