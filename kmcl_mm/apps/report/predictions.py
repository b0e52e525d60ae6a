"""The data of the report: a checkpoint's predictions of the test images, from one pass through the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample, label_to_onehot
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...checks import UNKNOWN, check_at_least
from ...engine import KMCLRunner
from ...engine.checkpoint_labels import check_same_labels
from ...evaluation.samples import scores_and_target, stack
from ...functional import responsibility_entropy
from ..inference import has_kernels, load_classifier, predict
from ..inference.decision_rule import indecision, label_names, thresholds_of
from ..inference.thumbnails import thumbnail_of
from .kernels import KernelDistances
from .label_data import LabelData, labels_of_pairs, read_label_data


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint's predictions of N test images with K labels.

    Args:
        labels: Names of the labels.
        trained: When the checkpoint was written, 'epoch 3' or, before the end of an epoch, 'iteration 400'; '' if
            unknown.
        dataset: The test images, prepared by the test pipeline.
        data: Label counts of the training data or, if there are none, of the test images.
        names: Name of each image.
        scores: Scores (N, K).
        target: Targets (N, K): 1 present, 0 absent, -1 unknown or difficult, for average precision.
        target_at_thresholds: The same with difficult labels as absent, for precision and recall at a threshold.
        predicted: Whether each label is predicted (N, K), bool.
        thresholds: Thresholds (K,), or None if the head predicts its highest labels.
        indecision: Indecision (N,), see :func:`kmcl_mm.apps.inference.decision_rule.indecision`.
        entropy: Entropy of the kernels (N,), see :func:`kmcl_mm.functional.responsibility_entropy`; None for a head
            without one kernel per label.
        drawn: Indices of the D images that were drawn for the map, sorted.
        embeddings: Their embeddings (D, M).
        kernels: Distances between the kernels of the labels in the charts of pairs, in the drawn images; None for a
            head without one kernel per label, or without pairs.
        is_calibrated: Whether the checkpoint has a calibration, see tools/calibrate.py.
        voters: Number of training images that vote in it.
    """

    labels: tuple[str, ...]
    trained: str
    dataset: Dataset
    data: LabelData
    names: tuple[str, ...]
    scores: Tensor
    target: Tensor
    target_at_thresholds: Tensor
    predicted: Tensor
    thresholds: np.ndarray | None
    indecision: np.ndarray
    entropy: np.ndarray | None
    drawn: np.ndarray
    embeddings: np.ndarray
    kernels: KernelDistances | None
    is_calibrated: bool
    voters: int

    def __len__(self) -> int:
        return len(self.names)

    def thumbnail(self, place: int, size: int, quality: int) -> bytes:
        """A small JPEG of an image, as the test pipeline prepares it for the network.

        Args:
            place: Index of the image.
            size: Pixels of its longer side, at most.
            quality: Quality of the JPEG, in [0, 100].

        Returns:
            The JPEG.
        """
        pixels = self.dataset[place]['inputs'].permute(1, 2, 0).numpy()
        return thumbnail_of(np.ascontiguousarray(pixels), size, quality)


@torch.inference_mode()
def evaluate(cfg: Config, checkpoint: Path, max_images: int, device: str | torch.device | None = None) -> Evaluation:
    """Predict the test images of a configuration, with a progress bar.

    Args:
        cfg: The configuration.
        checkpoint: The checkpoint.
        max_images: Number of images to draw for the map, with a fixed seed; all if there are fewer.
        device: Where the network runs. Default: a GPU if there is one.

    Returns:
        The predictions.

    Raises:
        ValueError: The checkpoint is of another configuration, there are no test data, the head's embeddings are not
            (N, M), or ``max_images`` is less than 1.
    """
    check_at_least('max_images', max_images, 1)
    if not cfg.get('test_dataloader'):
        raise ValueError('The configuration has no `test_dataloader`. Add one with the test images.')
    model, content = load_classifier(cfg, checkpoint, device)
    labels = label_names(content, checkpoint, cfg, model.head)
    thresholds = thresholds_of(model, labels)
    topk = model.head.topk if thresholds is None else None
    loader = _test_loader(cfg)
    check_same_labels(content, checkpoint, loader.dataset.metainfo.get('classes'))
    order = np.random.default_rng(0).permutation(len(loader.dataset))
    is_drawn = np.isin(np.arange(len(order)), order[:max_images])
    drawn = np.flatnonzero(is_drawn)
    data = read_label_data(cfg, tuple(labels), loader.dataset)
    pairs = labels_of_pairs(data.counts)
    with_kernels = has_kernels(model.head)
    calibration = getattr(model.head, 'calibration', None)
    kernels = KernelDistances(pairs) if with_kernels and pairs else None

    inputs_of_head: list[Tensor] = []
    samples: list[DataSample] = []
    judged: list[tuple[Tensor, Tensor]] = []
    embeddings: list[Tensor] = []
    entropies: list[Tensor] = []
    with model.head.register_forward_hook(lambda head, arguments, output: inputs_of_head.append(arguments[0])):
        for _, predictions in predict(model, loader):
            features = inputs_of_head.pop()
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
        is_calibrated=calibration is not None,
        voters=0 if calibration is None else len(calibration.names),
    )


def _trained(meta: dict[str, Any]) -> str:
    """When a checkpoint was written; MMEngine counts no epochs in a training by iterations."""
    if meta.get('epoch'):
        return f'epoch {meta["epoch"]}'
    return f'iteration {meta["iter"]}' if meta.get('iter') else ''


def _check_embedding(embedding: Tensor, head: nn.Module) -> None:
    if embedding.dim() != 2:
        raise ValueError(
            f"Expected the head's pre_logits to give embeddings (N, M), but {type(head).__name__} gave "
            f'{tuple(embedding.shape)}. Use a head of pooled features, after neck=dict(type="GlobalAveragePooling").'
        )


def _test_loader(cfg: Config) -> Any:
    """The loader of the test images, in their order."""
    in_order = dict(cfg.test_dataloader, sampler=dict(type='DefaultSampler', shuffle=False))
    return KMCLRunner.build_dataloader(in_order, seed=0)


def _name(sample: DataSample, place: int) -> str:
    path = sample.get('img_path')
    return Path(path).name if path else f'image {place}'
