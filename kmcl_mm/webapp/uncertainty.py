"""Which uncertainty the page shows, and what it says of it."""

from typing import NamedTuple, Optional

import numpy as np

from ..inference import Prediction
from ..inference.measures import KERNELS, SCORES, Measure
from ..inference.similar import ImageIndex

# From which share of the training images with a lower value on the words change.
_WORDS = ((0.95, 'very high'), (0.8, 'high'), (0.5, 'medium'), (0.0, 'low'))


class Uncertainty(NamedTuple):
    """What the page says of a prediction's uncertainty.

    Attributes:
        measure: What was measured.
        value: Its number.
        share: Share of the images of the index with a lower one, or None without an index.
    """

    measure: Measure
    value: float
    share: Optional[float]

    @property
    def word(self) -> Optional[str]:
        """'low', 'medium', 'high' or 'very high' among the images of the index; None without one.

        Example:
            >>> Uncertainty(KERNELS, 0.2, share=0.97).word
            'very high'
        """
        if self.share is None:
            return None
        return next(word for least, word in _WORDS if self.share >= least)


def uncertainty_of(prediction: Prediction, index: Optional[ImageIndex]) -> Uncertainty:
    """The uncertainty of a prediction, and how it compares with that of the training images.

    Args:
        prediction: The prediction.
        index: The training images, or None.

    Returns:
        The measure (that of the kernels where the head has some), its number, and the share of the training images with
        a lower one.
    """
    measure = SCORES if prediction.uncertainty is None else KERNELS
    value = getattr(prediction, measure.attribute)
    share = None if index is None else float(np.mean(getattr(index, measure.attribute) < value))
    return Uncertainty(measure, value, share)
