"""The asymmetric loss of one label against its probability, beside the binary cross-entropy."""

import matplotlib.pyplot as plt
import torch

from kmcl_mm.functional import asymmetric_loss

probability = torch.linspace(0.002, 0.998, 300)
figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.2), layout='constrained', sharey=True)
for axis, target, name in zip(axes, (1.0, 0.0), ('the label is present', 'the label is absent')):
    for settings, label in (
        (dict(gamma_neg=4, gamma_pos=0, clip=0.05), 'asymmetric, recipe'),
        (dict(gamma_neg=0, gamma_pos=0, clip=0), 'binary cross-entropy'),
    ):
        losses = [
            asymmetric_loss(logit.view(1, 1), torch.tensor([[target]]), **settings) for logit in probability.logit()
        ]
        axis.plot(probability, torch.stack(losses), '--' if settings['gamma_neg'] == 0 else '-', label=label)
    axis.set(title=name, xlabel='probability $p$')
    axis.grid(alpha=0.3)
axes[0].set(ylabel='loss', ylim=(0, 4.2))
axes[1].legend()
plt.show()
