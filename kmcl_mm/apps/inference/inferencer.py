"""Predictions of images given by path, folder, pattern or array."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.logging import print_log
from mmengine.utils import track_iter_progress
from mmpretrain.apis.base import BaseInferencer
from mmpretrain.structures import DataSample
from torch import Tensor

from ...checks import check_at_least, check_choice
from ...config import load_config
from ...functional import responsibility_entropy
from ...modules.calibration import Calibration, descriptions_of
from .classifier import has_kernels, load_classifier
from .decision_rule import Thresholds, chosen_labels, indecision, label_names, thresholds_of
from .fusing import fuse
from .inputs import Inputs, find_sources
from .preprocessing import Preprocessing, Skipped

# Training images that are named, of all that voted.
NUM_VOTERS = 8


class Voter(NamedTuple):
    """A training image that voted on a prediction.

    Attributes:
        name: Its name.
        share: Its share of all weights.
        labels: Its labels.
    """

    name: str
    share: float
    labels: list[str]


class Prediction(NamedTuple):
    """The prediction of an image.

    Attributes:
        source: Its path, or 'array 0', 'array 1' and so on by its place in the input.
        labels: Predicted labels with their scores, the highest first.
        scores: Scores of all labels (K,), in the order of the inferencer's ``classes``.
        indecision: How near the scores are to their thresholds, in [0, 1], see
            :func:`kmcl_mm.apps.inference.decision_rule.indecision`.
        uncertainty: Entropy of the kernels' responsibilities, in [0, log K], see
            :func:`kmcl_mm.functional.responsibility_entropy`; None for a head without one kernel per label.
        embedding: Embedding (M,), or None without ``with_embedding``.
        voters: The eight training images with the most weight in the scores, the most first; empty for a checkpoint
            without a memory.
    """

    source: str
    labels: dict[str, float]
    scores: np.ndarray
    indecision: float
    uncertainty: float | None
    embedding: np.ndarray | None
    voters: list[Voter]


class Predictions(NamedTuple):
    """The predictions of all images.

    Attributes:
        images: The prediction of each image that could be read, in the order of the input.
        skipped: The files that are missing or broken, with reasons.
    """

    images: list[Prediction]
    skipped: list[Skipped]


class KMCLInferencer(BaseInferencer):
    """Predict the labels of images with a trained checkpoint.

    One of MMPretrain's inferencers, for multilabel classifiers. Images are prepared by the configuration's test
    pipeline and preprocessor, so that scores equal those of a test. MMPretrain's own ``ImageClassificationInferencer``
    loads images in another way, stops at the first broken one, and gives one label per image.

    Args:
        config: A configuration, the path of its file, or the name of one of this package's.
        checkpoint: Path of the checkpoint. It names the labels, and may be calibrated and have fitted thresholds.
        device: Where the network runs, such as 'cpu' or 'cuda:1'. Default: a GPU if there is one.
        fuse: Fuse norms into convolutions, unless that changes the scores of the first images by more than 1e-4.

    Raises:
        ValueError: The checkpoint is corrupt, could run code, is of another model, or does not name its labels.

    Attributes:
        classes: Names of the K labels.
        model: The classifier, in evaluation mode.
        config: Its configuration.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        device: str | torch.device | None = None,
        fuse: bool = True,
    ) -> None:
        self.config = load_config(config)
        self.model, content = load_classifier(self.config, str(checkpoint), device)
        self.classes = label_names(content, checkpoint, self.config, self.model.head)
        self.pipeline = self._init_pipeline(self.config)
        self.visualizer = None
        self._is_to_be_fused = fuse

    def __call__(self, inputs: Inputs, return_datasamples: bool = False, **options: Any) -> Any:
        """Predict, as an inferencer of MMPretrain.

        Args:
            inputs: A path, a folder, a pattern, an array (H, W, 3) of type uint8, or a list of these.
            return_datasamples: Return data samples instead of predictions, with ``pred_score``, ``pred_label`` and
                ``img_path``; files that cannot be read are named in the log.
            **options: The other arguments of :meth:`predict`.

        Returns:
            What :meth:`predict` returns, or a list of data samples.

        Raises:
            ValueError: As :meth:`predict`.
        """
        return self.postprocess(self.predict(inputs, **options), return_datasamples=return_datasamples)

    def predict(
        self,
        inputs: Inputs,
        batch_size: int = 32,
        thr: Thresholds | None = None,
        topk: int | None = None,
        with_embedding: bool = False,
        channel_order: str = 'bgr',
        with_progress: bool = True,
    ) -> Predictions:
        """Predict.

        Args:
            inputs: A path, a folder, a pattern, an array (H, W, 3) of type uint8, or a list of these.
            batch_size: Number of images that the network gets at once.
            thr: Score from which a label is predicted, one for all or one for each label by its name. Default: the
                checkpoint's fitted thresholds, or else the head's.
            topk: Predict this many labels with the highest scores instead.
            with_embedding: Give the embeddings as well.
            channel_order: 'bgr', as OpenCV reads, or 'rgb': of the arrays.
            with_progress: Print a progress bar with the time left.

        Returns:
            The predictions, and the files that are missing or broken.

        Raises:
            ValueError: There is no such image, or an argument is out of its range; or the test pipeline gives images of
                several sizes.
            OSError: The storage of the images does not answer.
        """
        check_at_least('batch_size', batch_size, 1)
        check_choice('channel_order', channel_order, ('bgr', 'rgb'))
        rule = self._rule(thr, topk)
        sources = find_sources(inputs)
        batches = self.preprocess(sources, batch_size, channel_order)
        if with_progress:
            batches = track_iter_progress((batches, -(-len(sources) // batch_size)))
        result = Predictions([], [])
        for samples, skipped in batches:
            result.skipped.extend(skipped)
            if samples:
                names, prepared = zip(*samples)
                for name, outputs in zip(names, self.forward(prepared, with_embedding)):
                    result.images.append(self._prediction(name, rule, *outputs))
        if with_progress:
            print()
        return result

    def _init_pipeline(self, cfg: Config) -> Preprocessing:
        return Preprocessing(cfg)

    def preprocess(
        self, inputs: list[str | np.ndarray], batch_size: int = 32, channel_order: str = 'bgr'
    ) -> Iterator[tuple[list[tuple[str, dict]], list[Skipped]]]:
        """Load and prepare images in batches.

        Args:
            inputs: Paths and arrays.
            batch_size: Number of images in a batch.
            channel_order: 'bgr' or 'rgb', of the arrays.

        Yields:
            Each image's name and the result of the pipeline, and the files that are missing or broken.
        """
        for first in range(0, len(inputs), batch_size):
            samples, skipped = [], []
            for place, source in enumerate(inputs[first : first + batch_size], start=first):
                sample = self.pipeline(source, channel_order)
                if isinstance(sample, Skipped):
                    skipped.append(sample)
                else:
                    samples.append((source if isinstance(source, str) else f'array {place}', sample))
            _check_sizes(samples)
            yield samples, skipped

    @torch.inference_mode()
    def forward(self, inputs: Sequence[dict], with_embedding: bool = False) -> list[tuple]:
        """Run the network.

        Args:
            inputs: The result of the pipeline for each image.
            with_embedding: Give the embeddings as well.

        Returns:
            Scores (K,), uncertainty, embedding and voters of each image.
        """
        images = self.model.data_preprocessor(default_collate(inputs))['inputs']
        if self._is_to_be_fused:
            self._is_to_be_fused = False
            fuse(self.model, images)
        features = self.model.extract_feat(images)
        head, uncertainty = self.model.head, [None] * len(images)
        if has_kernels(head):
            mixture = head.mixture(features)
            embedding = mixture.embedding
            uncertainty = responsibility_entropy(*mixture).tolist()
        else:
            embedding = head.pre_logits(features)
        embeddings = embedding.cpu().numpy() if with_embedding else [None] * len(images)
        calibration = getattr(head, 'calibration', None)
        voters: list[list[Voter]] = [[] for _ in images]
        if calibration is None or not calibration.memories:
            logits = head(features)
        else:
            # One search of neighbours for both. `forward` does not call hooks, of which the calibration is one.
            plain = head.forward(features)
            neighbours = calibration.neighbours(*descriptions_of(head, features, plain))
            logits, voters = calibration.mix(plain, neighbours), self._voters(calibration, neighbours)
        return list(zip(logits.sigmoid().cpu().numpy(), uncertainty, embeddings, voters))

    def _voters(self, calibration: Calibration, neighbours: Sequence[tuple[Tensor, Tensor]]) -> list[list[Voter]]:
        """The training images with the most weight, of each image."""
        shares, places = calibration.voters(NUM_VOTERS, neighbours)
        has_label = (calibration.target[places] == 1).cpu()
        return [
            [
                Voter(calibration.names[place], share, [self.classes[k] for k in labels.nonzero().flatten().tolist()])
                for share, place, labels in zip(*image)
                if share > 0
            ]
            for image in zip(shares.tolist(), places.tolist(), has_label)
        ]

    def postprocess(
        self, preds: Predictions, visualization: Any = None, return_datasamples: bool = False
    ) -> Predictions | list[DataSample]:
        """Convert the predictions into data samples, if wanted.

        Args:
            preds: The predictions.
            visualization: Not used; MMPretrain's inferencers have it.
            return_datasamples: Whether data samples are wanted.

        Returns:
            The predictions, or one data sample per image that could be read.
        """
        if not return_datasamples:
            return preds
        for skipped in preds.skipped:
            print_log(f'Skipped {skipped.source}: {skipped.reason}', logger='current')
        return [self._data_sample(prediction) for prediction in preds.images]

    def _data_sample(self, prediction: Prediction) -> DataSample:
        sample = DataSample(metainfo=dict(img_path=prediction.source))
        if prediction.embedding is not None:
            sample.embedding = torch.from_numpy(prediction.embedding)
        labels = torch.tensor(sorted(self.classes.index(name) for name in prediction.labels), dtype=torch.int64)
        return sample.set_pred_score(torch.from_numpy(prediction.scores)).set_pred_label(labels)

    def _prediction(
        self,
        name: str,
        rule: tuple[np.ndarray | None, int | None],
        scores: np.ndarray,
        uncertainty: float | None,
        embedding: np.ndarray | None,
        voters: list[Voter],
    ) -> Prediction:
        labels = chosen_labels(scores, self.classes, *rule)
        return Prediction(name, labels, scores, indecision(scores, *rule), uncertainty, embedding, voters)

    def _rule(self, thr: Thresholds | None, topk: int | None) -> tuple[np.ndarray | None, int | None]:
        """Thresholds (K,), or else the number of labels to predict."""
        if topk is not None:
            if thr is not None:
                raise ValueError(f'Expected one of the arguments `thr` and `topk`, but got both: {thr} and {topk}.')
            if not 1 <= topk <= len(self.classes):
                raise ValueError(f'Expected argument `topk` to be in [1, {len(self.classes)}], but got {topk}.')
            return None, topk
        thresholds = thresholds_of(self.model, self.classes, thr)
        return thresholds, self.model.head.topk if thresholds is None else None


def _check_sizes(samples: list[tuple[str, dict]]) -> None:
    sizes = {tuple(sample['inputs'].shape[1:]): name for name, sample in samples}
    if len(sizes) > 1:
        found = ', '.join(f'{name} has {height} x {width}' for (height, width), name in sizes.items())
        raise ValueError(
            f'The test pipeline gives images of several sizes: {found}. Add a Resize to '
            'test_dataloader.dataset.pipeline, or predict with batch_size=1.'
        )
