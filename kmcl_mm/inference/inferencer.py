"""Predictions for images by path, folder, pattern or array."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.utils import track_iter_progress

from ..config import load_config
from ..functional.checks import check_at_least, check_choice
from ..functional.uncertainty import responsibility_entropy
from .classifier import has_kernels, load_classifier
from .fast import speed_up
from .inputs import Inputs, find_sources
from .labels import Thresholds, chosen_labels, indecision, label_names, thresholds_of
from .preprocessing import Preprocessing, Skipped


class Prediction(NamedTuple):
    """What is predicted for an image.

    Attributes:
        source: Its path, or 'array 0', 'array 1' and so on by its place in the input.
        labels: Predicted labels with their scores, the highest first.
        scores: Scores of all labels (K,), in the order of the inferencer's ``labels``.
        indecision: How near a score is to its threshold, in [0, 1], see :func:`kmcl_mm.inference.labels.indecision`.
        uncertainty: Over how many labels the mixture of kernels spreads the image, in [0, log K], see
            :func:`kmcl_mm.functional.uncertainty.responsibility_entropy`; None where labels have no own kernels.
        embedding: Embedding (M,), or None where it was not asked for.
    """

    source: str
    labels: Dict[str, float]
    scores: np.ndarray
    indecision: float
    uncertainty: Optional[float]
    embedding: Optional[np.ndarray]


class Predictions(NamedTuple):
    """What is predicted for all images.

    Attributes:
        images: One prediction for each image that could be read, in the order of the input.
        skipped: The files that could not, with reasons.
    """

    images: List[Prediction]
    skipped: List[Skipped]


class KMCLInferencer:
    """Predict the labels of images with a trained checkpoint.

    Images are prepared by the configuration's test pipeline and preprocessor, so that scores equal those of a test.
    The host's own inferencer reads images in another way, stops at the first broken one, and gives one label an image.

    Args:
        config: A configuration, the path of its file, or the name of one of the package's.
        checkpoint: Path of the checkpoint. It names the labels and may have fitted thresholds.
        batch_size: Number of images that the network gets at once.
        is_fast: Use a faster form of the network where it gives the first images the same scores, to 1e-4.

    Raises:
        ValueError: The checkpoint is not whole, could run code, is of another model, or does not name its labels.

    Attributes:
        labels: Names of the K labels.
        model: The classifier, in evaluation mode.
    """

    def __init__(
        self, config: Union[str, Path, Config], checkpoint: Union[str, Path], batch_size: int = 32, is_fast: bool = True
    ) -> None:
        check_at_least('batch_size', batch_size, 1)
        cfg = load_config(config)
        self.model, content = load_classifier(cfg, str(checkpoint))
        self.labels = label_names(content, checkpoint, cfg, self.model.head)
        self.batch_size = batch_size
        self._preprocessing = Preprocessing(cfg)
        self._is_to_be_sped_up = is_fast

    def __call__(
        self,
        inputs: Inputs,
        thr: Optional[Thresholds] = None,
        topk: Optional[int] = None,
        with_embedding: bool = False,
        channel_order: str = 'bgr',
        with_progress: bool = True,
    ) -> Predictions:
        """Predict.

        Args:
            inputs: A path, a folder, a pattern, an array (H, W, 3) of type uint8, or a list of these.
            thr: Score from which a label is predicted, one for all or one for each label by its name. Default: the
                thresholds fitted for the checkpoint, or else the head's own.
            topk: Predict this many labels with the highest scores instead.
            with_embedding: Give the embeddings as well.
            channel_order: 'bgr', as OpenCV reads, or 'rgb': of the arrays.
            with_progress: Print a progress bar with the time left.

        Returns:
            The predictions, and the files that could not be read.

        Raises:
            ValueError: There is no such image, or an argument is out of its range; or the test pipeline leaves images
                of several sizes.
        """
        check_choice('channel_order', channel_order, ('bgr', 'rgb'))
        thresholds, topk = self._rule(thr, topk)
        sources = find_sources(inputs)
        places = range(0, len(sources), self.batch_size)
        result = Predictions([], [])
        for first in track_iter_progress(list(places)) if with_progress else places:
            names, samples = [], []
            for place, source in enumerate(sources[first : first + self.batch_size], start=first):
                sample = self._preprocessing(source, channel_order)
                if isinstance(sample, Skipped):
                    result.skipped.append(sample)
                else:
                    names.append(source if isinstance(source, str) else f'array {place}')
                    samples.append(sample)
            if samples:
                _check_sizes(names, samples)
                for name, scores, *others in zip(names, *self._outputs(samples, with_embedding)):
                    labels = chosen_labels(scores, self.labels, thresholds, topk)
                    result.images.append(
                        Prediction(name, labels, scores, indecision(scores, thresholds, topk), *others)
                    )
        if with_progress:
            print()
        return result

    def _rule(self, thr: Optional[Thresholds], topk: Optional[int]) -> Tuple[Optional[np.ndarray], Optional[int]]:
        """Thresholds (K,), or else the number of labels to predict."""
        if topk is not None:
            if thr is not None:
                raise ValueError(f'Expected one of the arguments `thr` and `topk`, but got both, {thr} and {topk}.')
            if not 1 <= topk <= len(self.labels):
                raise ValueError(f'Expected argument `topk` to be in [1, {len(self.labels)}], but got {topk}.')
            return None, topk
        thresholds = thresholds_of(self.model, self.labels, thr)
        return thresholds, self.model.head.topk if thresholds is None else None

    @torch.inference_mode()
    def _outputs(self, samples: List[Dict], with_embedding: bool) -> Tuple:
        """Scores, uncertainty and embedding of each image."""
        images = self.model.data_preprocessor(default_collate(samples))['inputs']
        if self._is_to_be_sped_up:
            self._is_to_be_sped_up = False
            speed_up(self.model, images)
        features = self.model.extract_feat(images)
        head, uncertainty = self.model.head, [None] * len(images)
        if has_kernels(head):
            mixture = head.mixture(features)
            embedding, logits = mixture.embedding, mixture.logits
            uncertainty = responsibility_entropy(*mixture).tolist()
        else:
            embedding, logits = head.pre_logits(features), head(features)
        embeddings = embedding.cpu().numpy() if with_embedding else [None] * len(images)
        return logits.sigmoid().cpu().numpy(), uncertainty, embeddings


def _check_sizes(names: List[str], samples: List[Dict]) -> None:
    sizes = {tuple(sample['inputs'].shape[1:]): name for name, sample in zip(names, samples)}
    if len(sizes) > 1:
        found = ', '.join(f'{name} has {height} x {width}' for (height, width), name in sizes.items())
        raise ValueError(
            f'Expected the test pipeline to give all images one size, but {found}. Add a Resize to '
            'test_dataloader.dataset.pipeline, or predict with batch_size=1.'
        )
