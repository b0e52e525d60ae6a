"""A reliability diagram: how many of the labels with a score are present."""

from typing import NamedTuple

import numpy as np
import torch
from bokeh.plotting import figure
from torch import Tensor

from ...checks import UNKNOWN
from .chart_style import COLORS, INK, add_tooltips, new_chart

# As many as in the calibration error.
_BINS = 15
# Diameters of the dots of the fewest and of the most pairs, in pixels.
_SMALLEST, _LARGEST = 6, 24


class Reliability(NamedTuple):
    """Scores and labels of the pairs of image and label, in bins by their score; bins without pairs are left out.

    Attributes:
        bins: Number of each bin (B,), ascending, of 15 bins of equal width.
        scores: Mean score of each bin in percent (B,).
        shares: Share of its pairs whose label is present, in percent (B,).
        pairs: Number of its pairs (B,).
    """

    bins: np.ndarray
    scores: np.ndarray
    shares: np.ndarray
    pairs: np.ndarray

    def at(self, score: float) -> tuple[float, float, int]:
        """The bin whose mean score is nearest to a score.

        Args:
            score: The score in percent.

        Returns:
            Mean score and share in percent, and number of pairs.
        """
        place = np.abs(self.scores - score).argmin()
        return float(self.scores[place]), float(self.shares[place]), int(self.pairs[place])


def reliability(scores: Tensor, target: Tensor) -> Reliability:
    """Compare scores with the share of labels that are present.

    The bins are those of :func:`kmcl_mm.evaluation.weighted_metrics.calibration_errors`, but for a score of 1, which is
    in the last bin here.

    Args:
        scores: Scores (N, K) in [0, 1].
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which is left out.

    Returns:
        The bins that have pairs.

    Example:
        >>> import torch
        >>> found = reliability(torch.tensor([[0.7], [0.7], [0.1]]), torch.tensor([[1], [0], [0]]))
        >>> found.bins.tolist(), found.scores.round(1).tolist(), found.shares.tolist(), found.pairs.tolist()
        ([1, 10], [10.0, 70.0], [0.0, 50.0], [1, 2])
    """
    is_known = target != UNKNOWN
    values = scores[is_known]
    places = torch.bucketize(values.float(), torch.linspace(0, 1, _BINS + 1)[1:-1], right=True).numpy()
    pairs = np.bincount(places, minlength=_BINS)
    bins = np.flatnonzero(pairs)
    means, shares = (
        100 * np.bincount(places, part.double().numpy(), minlength=_BINS)[bins] / pairs[bins]
        for part in (values, target[is_known] == 1)
    )
    return Reliability(bins, means, shares, pairs[bins])


def draw_reliability(found: Reliability) -> dict[str, figure]:
    """Draw a dot for each bin: the more pairs, the larger.

    Args:
        found: The bins.

    Returns:
        The chart under the name 'reliability'; none without a bin.
    """
    if not len(found.bins):
        return {}
    chart = new_chart('mean score in percent', 'share present in percent', height=400)
    # The largest dots fit in at the edges.
    chart.x_range.start, chart.x_range.end, chart.y_range.start, chart.y_range.end = -4, 104, -6, 106
    chart.line([0, 100], [0, 100], color=INK, line_dash='dashed')
    edges = 100 / _BINS * np.arange(_BINS + 1)
    weights = np.log1p(found.pairs) / np.log1p(found.pairs.max())
    columns = dict(
        bin=[f'{edges[place]:.1f} to {edges[place + 1]:.1f} %' for place in found.bins],
        score=found.scores,
        share=found.shares,
        pairs=found.pairs,
        size=_SMALLEST + (_LARGEST - _SMALLEST) * weights,
    )
    chart.line('score', 'share', source=columns, color=COLORS[0], line_width=2)
    dots = chart.scatter('score', 'share', size='size', source=columns, color=COLORS[0], fill_alpha=0.6)
    tooltips = [
        ('scores', '@bin'),
        ('mean score', '@score{0.0} %'),
        ('share present', '@share{0.0} %'),
        ('pairs', '@pairs{0,0}'),
    ]
    add_tooltips(chart, [dots], tooltips)
    return dict(reliability=chart)
