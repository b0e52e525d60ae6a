"""An image's mixture of kernels in two dimensions, and the embedding that it is looked up at."""

import matplotlib.pyplot as plt
import torch

from kmcl_mm.functional import log_kernel

LABELS = ('person', 'car', 'dog')
SCORES = torch.tensor([0.9, 0.8, 0.1])
MEAN = torch.tensor([[-1.0, 1.6, 0.2], [0.6, 0.4, -2.2]])  # (M, K)
VARIANCE = torch.tensor([[1.4, 1.0, 2.5], [1.0, 2.2, 1.1]])  # (M, K)
EMBEDDING = (0.1, 0.4)

x, y = torch.meshgrid(torch.linspace(-4.5, 5, 191), torch.linspace(-5, 4, 181), indexing='xy')
places = torch.stack([x.flatten(), y.flatten()], dim=1)
kernels = log_kernel(places, MEAN.expand(len(places), -1, -1), VARIANCE.expand(len(places), -1, -1)).exp()

figure, axes = plt.subplots(figsize=(5.6, 4.2), layout='constrained')
for label, name in enumerate(LABELS):
    color = f'C{label}'
    values = kernels[:, label].view(x.shape)
    axes.contour(x, y, values, levels=(0.2, 0.4, 0.6, 0.8), colors=color, alpha=float(0.3 + 0.7 * SCORES[label]))
    axes.text(*MEAN[:, label].tolist(), f'{name}\n$p$ = {SCORES[label]:.1f}', color=color, ha='center', va='center')
axes.plot(*EMBEDDING, 'k*', markersize=11)
axes.annotate('embedding $f$', EMBEDDING, xytext=(-0.9, 3.1), arrowprops=dict(arrowstyle='->'))
axes.set(xlabel='first dimension', ylabel='second dimension', aspect='equal')
plt.show()
