"""What the report shows of a checkpoint: its predictions of the test images, in one pass through the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.structures import DataSample, label_to_onehot
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..evaluation.samples import scores_and_target, stack
from ..functional.checks import UNKNOWN, check_at_least
from ..functional.uncertainty import responsibility_entropy
from ..inference import has_kernels, load_classifier, predict
from ..inference.indexing import thumbnail_of
from ..inference.labels import indecision, label_names, thresholds_of
from .kernels import KernelDistances
from .label_data import LabelData, labels_of_pairs, read_label_data


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint's predictions of N test images with K labels.

    Args:
        labels: Names of the labels.
        trained: After what the checkpoint was written, 'epoch 3' or, before any epoch was over, 'iteration 400'; ''
            where it does not say.
        dataset: The test images, prepared by the test pipeline.
        data: How often labels occur in the training data, or in the test images where there are none.
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
        kernels: Distances between the kernels of the labels in the charts of pairs, in the drawn images; None for such
            a head, or where there are no pairs.
    """

    labels: Tuple[str, ...]
    trained: str
    dataset: Dataset
    data: LabelData
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
        ValueError: The checkpoint is not one of this configuration, there are no test data, the head's embeddings are
            not (N, M), or ``max_images`` is less than 1.
    """
    check_at_least('max_images', max_images, 1)
    if not cfg.get('test_dataloader'):
        raise ValueError(
            'Expected the configuration to have a `test_dataloader`, but it has none. Give it that of the test images.'
        )
    model, content = load_classifier(cfg, checkpoint)
    labels = label_names(content, checkpoint, cfg, model.head)
    thresholds = thresholds_of(model, labels)
    topk = model.head.topk if thresholds is None else None
    loader = _test_loader(cfg)
    order = np.random.default_rng(0).permutation(len(loader.dataset))
    is_drawn = np.isin(np.arange(len(order)), order[:max_images])
    drawn = np.flatnonzero(is_drawn)
    data = read_label_data(cfg, tuple(labels), loader.dataset)
    pairs = labels_of_pairs(data.counts)
    with_kernels = has_kernels(model.head)
    kernels = KernelDistances(pairs) if with_kernels and pairs else None

    heard: List[Tuple[Tensor, ...]] = []
    hook = model.head.register_forward_hook(lambda head, arguments, output: heard.append(arguments[0]))
    samples: List[DataSample] = []
    judged: List[Tuple[Tensor, Tensor]] = []
    embeddings: List[Tensor] = []
    entropies: List[Tensor] = []
    for _, predictions in predict(model, loader):
        features = heard.pop()
        chosen = torch.from_numpy(np.flatnonzero(is_drawn[len(samples) : len(samples) + len(predictions)]))
        judged += [scores_and_target(sample.to_dict(), UNKNOWN) for sample in predictions]
        samples += predictions
        if with_kernels:
            mixture = model.head.mixture(features)
            embedding = mixture.embedding
            entropies.append(responsibility_entropy(*mixture).cpu())
            if kernels is not None:
                _, target = stack(judged[-len(predictions) :])
                kernels.add(*(part[chosen] for part in (embedding, mixture.mean, mixture.variance, target)))
        else:
            embedding = model.head.pre_logits(features)
            _check_embedding(embedding, model.head)
        embeddings.append(embedding[chosen].cpu())
    hook.remove()

    scores, target = stack(judged)
    return Evaluation(
        labels=tuple(labels),
        trained=_trained(content.get('meta') or {}),
        dataset=loader.dataset,
        data=data,
        names=tuple(_name(sample, place) for place, sample in enumerate(samples)),
        scores=scores,
        target=target,
        target_at_thresholds=stack([scores_and_target(sample.to_dict(), 0) for sample in samples])[1],
        predicted=torch.stack([label_to_onehot(s.pred_label, len(labels)).cpu() == 1 for s in samples]),
        thresholds=thresholds,
        indecision=np.array([indecision(row, thresholds, topk) for row in scores.numpy()]),
        entropy=torch.cat(entropies).numpy() if with_kernels else None,
        drawn=drawn,
        embeddings=torch.cat(embeddings).numpy(),
        kernels=kernels,
    )


def _trained(meta: Dict[str, Any]) -> str:
    """After what a checkpoint was written; in a training by iterations the host counts no epochs."""
    if meta.get('epoch'):
        return f'epoch {meta["epoch"]}'
    return f'iteration {meta["iter"]}' if meta.get('iter') else ''


def _check_embedding(embedding: Tensor, head: nn.Module) -> None:
    if embedding.dim() != 2:
        raise ValueError(
            f"Expected the head's pre_logits to give embeddings (N, M), but {type(head).__name__} gave "
            f'{tuple(embedding.shape)}. Take a head of pooled features, after neck=dict(type="GlobalAveragePooling").'
        )


def _test_loader(cfg: Config) -> Any:
    """The loader of the test images, in their order."""
    in_order = dict(cfg.test_dataloader, sampler=dict(type='DefaultSampler', shuffle=False))
    return Runner.build_dataloader(in_order, seed=0)


def _name(sample: DataSample, place: int) -> str:
    path = sample.get('img_path')
    return Path(path).name if path else f'image {place}'
