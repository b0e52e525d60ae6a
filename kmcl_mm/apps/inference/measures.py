"""The two measures of a prediction's uncertainty."""

from typing import NamedTuple


class Measure(NamedTuple):
    """A measure of a prediction's uncertainty.

    Attributes:
        attribute: Its name in a prediction and in an index of similar images.
        title: Its name on pages.
        meaning: A sentence that says when it is high.
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
