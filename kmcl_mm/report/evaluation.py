"""What the report shows of a checkpoint: its predictions of the test images, in one pass through the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.structures import DataSample, label_to_onehot
from torch import Tensor
from torch.utils.data import Dataset

from ..evaluation.samples import scores_and_target, stack
from ..functional.checks import UNKNOWN, check_at_least
from ..functional.uncertainty import responsibility_entropy
from ..inference import has_kernels, load_classifier, predict
from ..inference.indexing import thumbnail_of
from ..inference.labels import indecision, label_names, thresholds_of
from .kernels import KernelDistances


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint's predictions of N test images with K labels.

    Args:
        labels: Names of the labels.
        epoch: After how many epochs the checkpoint was written, or None where it does not say.
        dataset: The test images, prepared by the test pipeline.
        names: Name of each image.
        scores: Scores (N, K).
        target: Targets (N, K): 1 present, 0 absent, -1 unknown or difficult, as average precision judges them.
        target_at_thresholds: The same with difficult labels as absent, as precision and recall at a threshold do.
        predicted: Whether each label is predicted (N, K), bool.
        thresholds: Scores from which each label is predicted (K,), or None where the head predicts its highest ones.
        indecision: How near a score is to its threshold (N,), see :func:`kmcl_mm.inference.labels.indecision`.
        entropy: Over how many labels the kernels spread each image (N,), see
            :func:`kmcl_mm.functional.uncertainty.responsibility_entropy`; None where labels have no own kernels.
        drawn: Indices of the D images that were drawn for the map, in rising order.
        embeddings: Their embeddings (D, M).
        kernels: Distances between the labels' kernels in the drawn images; None for such a head.
    """

    labels: Tuple[str, ...]
    epoch: Optional[int]
    dataset: Dataset
    names: Tuple[str, ...]
    scores: Tensor
    target: Tensor
    target_at_thresholds: Tensor
    predicted: Tensor
    thresholds: Optional[np.ndarray]
    indecision: np.ndarray
    entropy: Optional[np.ndarray]
    drawn: np.ndarray
    embeddings: np.ndarray
    kernels: Optional[KernelDistances]

    def __len__(self) -> int:
        return len(self.names)

    def thumbnail(self, place: int, size: int, quality: int) -> bytes:
        """A small JPEG of an image, as the test pipeline prepares it for the network.

        Args:
            place: Index of the image.
            size: Pixels of its longer side, at the most.
            quality: Quality of the JPEG, in [0, 100].

        Returns:
            The JPEG.
        """
        pixels = self.dataset[place]['inputs'].permute(1, 2, 0).numpy()
        return thumbnail_of(np.ascontiguousarray(pixels), size, quality)


@torch.inference_mode()
def evaluate(cfg: Config, checkpoint: Path, max_images: int) -> Evaluation:
    """Predict the test images of a configuration, with a progress bar.

    Args:
        cfg: The configuration.
        checkpoint: The checkpoint.
        max_images: How many images to draw for the map, with a fixed seed; all where there are fewer.

    Returns:
        The predictions.

    Raises:
        ValueError: The checkpoint is not one of this configuration, there are no test data, or ``max_images`` is less
            than 1.
    """
    check_at_least('max_images', max_images, 1)
    model, content = load_classifier(cfg, checkpoint)
    labels = label_names(content, checkpoint, cfg, model.head)
    thresholds = thresholds_of(model, labels)
    topk = model.head.topk if thresholds is None else None
    loader = _test_loader(cfg)
    order = np.random.default_rng(0).permutation(len(loader.dataset))
    is_drawn = np.isin(np.arange(len(order)), order[:max_images])
    drawn = np.flatnonzero(is_drawn)
    kernels = KernelDistances(len(labels)) if has_kernels(model.head) else None

    heard: List[Tuple[Tensor, ...]] = []
    hook = model.head.register_forward_hook(lambda head, arguments, output: heard.append(arguments[0]))
    samples: List[DataSample] = []
    embeddings: List[Tensor] = []
    entropies: List[Tensor] = []
    for _, predictions in predict(model, loader):
        features = heard.pop()
        chosen = torch.from_numpy(np.flatnonzero(is_drawn[len(samples) : len(samples) + len(predictions)]))
        if kernels is None:
            embedding = model.head.pre_logits(features)
        else:
            mixture = model.head.mixture(features)
            embedding = mixture.embedding
            entropies.append(responsibility_entropy(*mixture).cpu())
            target = _targets(predictions, UNKNOWN)
            kernels.add(*(part[chosen] for part in (embedding, mixture.mean, mixture.variance, target)))
        embeddings.append(embedding[chosen].cpu())
        samples += predictions
    hook.remove()

    scores = torch.stack([sample.pred_score for sample in samples]).cpu()
    return Evaluation(
        labels=tuple(labels),
        epoch=(content.get('meta') or {}).get('epoch'),
        dataset=loader.dataset,
        names=tuple(_name(sample, place) for place, sample in enumerate(samples)),
        scores=scores,
        target=_targets(samples, UNKNOWN),
        target_at_thresholds=_targets(samples, 0),
        predicted=torch.stack([label_to_onehot(s.pred_label, len(labels)).cpu() == 1 for s in samples]),
        thresholds=thresholds,
        indecision=np.array([indecision(row, thresholds, topk) for row in scores.numpy()]),
        entropy=None if kernels is None else torch.cat(entropies).numpy(),
        drawn=drawn,
        embeddings=torch.cat(embeddings).numpy(),
        kernels=kernels,
    )


def _test_loader(cfg: Config) -> Any:
    """The loader of the test images, in their order."""
    if 'test_dataloader' not in cfg:
        raise ValueError('Expected the configuration to have a `test_dataloader`, but it has none.')
    in_order = dict(cfg.test_dataloader, sampler=dict(type='DefaultSampler', shuffle=False))
    return Runner.build_dataloader(in_order, seed=0)


def _targets(samples: Sequence[DataSample], difficult: int) -> Tensor:
    return stack([scores_and_target(sample.to_dict(), difficult) for sample in samples])[1]


def _name(sample: DataSample, place: int) -> str:
    path = sample.get('img_path')
    return Path(path).name if path else f'image {place}'
