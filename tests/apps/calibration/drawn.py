"""Drawn images whose neighbours say more about their labels than the logits do."""

import torch

from kmcl_mm.apps.calibration.described_images import DescribedImages

LABELS, CLUSTERS = 5, 12
WIDTHS = (24, 10)


def drawn_images(number, seed, unknown=0.0, patients=None):
    """Images of clusters in two descriptions; labels are those of the cluster but for some chance, logits too high."""
    # The clusters are the same for every seed.
    generator = torch.Generator().manual_seed(99)
    centres = [2 * torch.randn(CLUSTERS, width, generator=generator) for width in WIDTHS]
    of_clusters = torch.rand(CLUSTERS, LABELS, generator=generator) < 0.35

    generator.manual_seed(seed)
    clusters = torch.randint(CLUSTERS, (number,), generator=generator)
    first, second = (part[clusters] + torch.randn(number, part.shape[1], generator=generator) for part in centres)
    other = torch.rand(number, LABELS, generator=generator) < 0.1
    target = (of_clusters[clusters] ^ other).long()
    logits = 3 * target + 2.5 * torch.randn(number, LABELS, generator=generator)
    target[torch.rand(number, LABELS, generator=generator) < unknown] = -1
    names = [f'{seed}/{place}.jpg' for place in range(number)]
    return DescribedImages(
        (first, second), logits, target, target.clone(), names, range(number) if patients is None else patients
    )
