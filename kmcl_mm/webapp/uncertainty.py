"""Which uncertainty the page shows, and what it says of it."""

from typing import NamedTuple, Optional

import numpy as np

from ..inference import Prediction
from ..inference.similar import ImageIndex


class Measure(NamedTuple):
    """A measure of how unsure a prediction is.

    Attributes:
        attribute: Its name in a prediction and in an index of similar images.
        title: What the page calls it.
        meaning: A sentence about when it is high.
    """

    attribute: str
    title: str
    meaning: str


KERNELS = Measure(
    'uncertainty',
    'Entropy of the kernels',
    'High where the kernels of many labels account for the image, 0 where those of one label do.',
)
SCORES = Measure(
    'indecision', 'Indecision of the scores', '1 where a score lies at its threshold, 0 where all are 0 % or 100 %.'
)

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
