"""What the measures of how unsure a prediction is are called, and what they say."""

from typing import NamedTuple


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
