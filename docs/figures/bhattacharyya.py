"""What is left of two kernels' similarity as their means move apart, with both factors of the distance."""

import matplotlib.pyplot as plt
import torch

from kmcl_mm.functional import bhattacharyya_distance

DIMENSIONS = 128

difference = torch.logspace(-3, 0.3, 200, dtype=torch.float64)
# The first kernel lies at 0, the others have their means `difference` away in each dimension.
mean = torch.cat([torch.zeros(1, dtype=torch.float64), difference])[:, None, None].expand(-1, DIMENSIONS, 1)
distance = bhattacharyya_distance(mean, torch.ones_like(mean))[0, 1:, 0]

figure, axes = plt.subplots(figsize=(5.6, 3.4), layout='constrained')
for scale, name in ((1, '$c = 1$, exact'), (DIMENSIONS, '$c = M = 128$, reference')):
    axes.semilogx(difference, (-scale * distance).exp(), label=name)
axes.set(xlabel=r'difference of the means in each dimension, in $\sigma$', ylabel='$S = e^{-cB}$')
axes.legend()
axes.grid(alpha=0.3)
plt.show()
