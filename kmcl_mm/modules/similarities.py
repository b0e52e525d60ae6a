"""Similarity measures of kernels: which of an image's variances are one and the same.

All of them are the Bhattacharyya coefficient of two Gaussian kernels; they differ in the variances that it sees.
"""

from collections.abc import Callable

# From the numbers of dimensions M and of labels K to the shape of an image's raw variances, which is broadcast to that
# of its means: (K,) of isotropic kernels, (M, K) of anisotropic ones. A 1 stands where a variance is shared.
VarianceShape = Callable[[int, int], tuple[int, ...]]

# By covariance and name. Conversion tells them by the number of raw variances; of equal numbers the first one counts.
SIMILARITIES: dict[str, dict[str, VarianceShape]] = dict(
    isotropic=dict(
        bhattacharyya=lambda dimensions, labels: (labels,),
        rbf=lambda dimensions, labels: (1,),
    ),
    anisotropic=dict(
        bhattacharyya=lambda dimensions, labels: (dimensions, labels),
        mahalanobis=lambda dimensions, labels: (dimensions, 1),
    ),
)
