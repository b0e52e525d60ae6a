"""Scenes of handwritten digits, drawn on the fly: multilabel data that needs no download."""

from typing import Any

import cv2
import numpy as np
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS

from ..checks import check_at_least, check_choice
from .fraction import WithFraction

# Digits that tend to occur together, and how often a further digit comes from the group of the first.
GROUPS = ((0, 1, 2), (3, 4), (5, 6, 7), (8, 9))
_SAME_GROUP_PROBABILITY = 0.75
_MAX_DIGITS = 4

# The 1,797 samples are in order of collection: the first are for training, the rest for testing.
_NUM_TRAIN_SAMPLES = 1347


@DATASETS.register_module()
class DigitScenes(WithFraction, MultiLabelDataset):
    """Grey scenes of one to four handwritten digits at random places and sizes, labelled with their digits.

    The digits are scikit-learn's, 1,797 real samples of 8 x 8 pixels; training and test scenes use different ones.
    Digits of one group (012, 34, 567, 89) tend to occur together, so that there is label correlation to learn. A scene
    depends only on ``seed``, ``split`` and its index: it is the same on every machine and in every worker.

    Args:
        split: 'train' or 'test'.
        num_scenes: Number of scenes.
        image_size: Height and width of a scene, pixels; at least 32.
        seed: Seed of the scenes.
        **kwargs: Passed to MMPretrain's ``MultiLabelDataset``: ``pipeline``, ``test_mode``, ``lazy_init`` and so on;
            ``fraction`` and ``fraction_seed`` of :class:`kmcl_mm.datasets.WithFraction`. The pipeline gets
            the image as ``img`` (H, W, 3), uint8: it needs no transform that loads.

    Raises:
        ValueError: There is no such split, or a size is too small.
        ImportError: scikit-learn is not installed.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (UCI), as in
    ``sklearn.datasets.load_digits``.

    Example:
        >>> from kmcl_mm.datasets import DigitScenes
        >>> scene = DigitScenes(split='test', num_scenes=10)[0]
        >>> scene['img'].shape, scene['gt_label']
        ((64, 64, 3), [7])
    """

    METAINFO = dict(classes=('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'))

    def __init__(
        self, split: str = 'train', num_scenes: int = 4000, image_size: int = 64, seed: int = 0, **kwargs: Any
    ) -> None:
        check_choice('split', split, ('train', 'test'))
        check_at_least('num_scenes', num_scenes, 1)
        check_at_least('image_size', image_size, 32)
        self.split = split
        self.num_scenes = num_scenes
        self.image_size = image_size
        self.seed = seed
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Lay out the scenes; their images are drawn on access.

        Returns:
            One ``dict(gt_label, digits, background, noise_seed)`` per scene.
        """
        self._samples, digit_of_sample = _load_samples(self.split)
        samples_of_digit = [np.flatnonzero(digit_of_sample == digit) for digit in range(len(self.CLASSES))]
        # RandomState gives the same numbers in every release of NumPy; default_rng does not promise to.
        random = np.random.RandomState([self.seed, self.split == 'test'])
        return [self._lay_out(random, samples_of_digit) for _ in range(self.num_scenes)]

    def prepare_data(self, idx: int) -> Any:
        """Draw a scene and pass it through the pipeline.

        Args:
            idx: Index of the scene.

        Returns:
            The output of the pipeline.
        """
        scene = self.get_data_info(idx)
        scene['img'] = self._draw(scene)
        scene['img_shape'] = scene['ori_shape'] = scene['img'].shape[:2]
        return self.pipeline(scene)

    def extra_repr(self) -> list[str]:
        """Describe the settings in the printed form of the data set.

        Returns:
            The lines.
        """
        return [f'Split: \t{self.split}', f'Image size: \t{self.image_size}', f'Seed: \t{self.seed}']

    def _lay_out(self, random: np.random.RandomState, samples_of_digit: list[np.ndarray]) -> dict[str, Any]:
        first = random.randint(len(samples_of_digit))
        group = next(group for group in GROUPS if first in group)
        labels = [first]
        for _ in range(random.randint(_MAX_DIGITS)):
            in_group = random.random_sample() < _SAME_GROUP_PROBABILITY
            labels.append(group[random.randint(len(group))] if in_group else random.randint(len(samples_of_digit)))
        # Each digit has its own quarter of the scene, so that none hides another.
        quarters = random.permutation(4)
        background = random.randint(20, 120)
        half = self.image_size // 2
        digits = []
        for label, quarter in zip(labels, quarters):
            size = random.randint(half * 5 // 8, half + 1)
            top, left = random.randint(half - size + 1, size=2)
            digits.append(
                dict(
                    sample=random.choice(samples_of_digit[label]),
                    size=size,
                    top=quarter // 2 * half + top,
                    left=quarter % 2 * half + left,
                    ink=random.randint(background + 100, 256),
                )
            )
        return dict(
            gt_label=sorted(set(labels)), digits=digits, background=background, noise_seed=random.randint(2**31)
        )

    def _draw(self, scene: dict[str, Any]) -> np.ndarray:
        noise = np.random.RandomState(scene['noise_seed']).randint(-12, 13, size=(self.image_size, self.image_size))
        img = scene['background'] + noise
        for digit in scene['digits']:
            size = digit['size']
            # The bit-exact variant of bilinear interpolation: the same pixels on every machine.
            opacity = cv2.resize(self._samples[digit['sample']], (size, size), interpolation=cv2.INTER_LINEAR_EXACT)
            area = img[digit['top'] : digit['top'] + size, digit['left'] : digit['left'] + size]
            area += (digit['ink'] - area) * opacity.astype(int) // 255
        return np.repeat(img.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def _load_samples(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Opacities (S, 10, 10), uint8, and digits (S,) of one split's samples."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            'DigitScenes draws with the handwritten digits of scikit-learn. Install it:\n'
            '    pip install "kmcl_mm[demo]"'
        ) from error
    digits = load_digits()
    part = slice(_NUM_TRAIN_SAMPLES) if split == 'train' else slice(_NUM_TRAIN_SAMPLES, None)
    opacity = (digits.images[part] * (255 / 16)).astype(np.uint8)
    # With a border, strokes at the edge of a sample end softly.
    return np.pad(opacity, ((0, 0), (1, 1), (1, 1))), digits.target[part]
