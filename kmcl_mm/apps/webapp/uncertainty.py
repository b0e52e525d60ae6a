"""The uncertainty that the page shows."""

from typing import NamedTuple

import numpy as np

from ..inference import Prediction
from ..inference.measures import KERNELS, SCORES, Measure
from ..inference.similar import ImageIndex

# Words by the lowest share of training images that have a lower value.
_WORDS = ((0.95, 'very high'), (0.8, 'high'), (0.5, 'medium'), (0.0, 'low'))


class Uncertainty(NamedTuple):
    """The uncertainty of a prediction.

    Attributes:
        measure: Its measure.
        value: Its value.
        share: Share of the images in the index with a lower value, or None without an index.
    """

    measure: Measure
    value: float
    share: float | None

    @property
    def word(self) -> str | None:
        """'low', 'medium', 'high' or 'very high' among the images in the index; None without one.

        Example:
            >>> Uncertainty(KERNELS, 0.2, share=0.97).word
            'very high'
        """
        if self.share is None:
            return None
        return next(word for least, word in _WORDS if self.share >= least)


def uncertainty_of(prediction: Prediction, index: ImageIndex | None) -> Uncertainty:
    """Compare the uncertainty of a prediction with that of the training images.

    Args:
        prediction: The prediction.
        index: The training images, or None.

    Returns:
        The measure (the entropy of the kernels if the head has one per label), its value, and the share of training
        images with a lower one.
    """
    measure = SCORES if prediction.uncertainty is None else KERNELS
    value = getattr(prediction, measure.attribute)
    share = None if index is None else float(np.mean(getattr(index, measure.attribute) < value))
    return Uncertainty(measure, value, share)
