"""An index of images to find similar ones in: embeddings, labels and thumbnails in one file."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from ...checks import check_at_least
from ...datasets.wrappers import pipeline_of
from ...files import atomic_write
from .preprocessing import plain_settings, raise_storage_error

ENDING = '.npz'
_FORMAT = 'kmcl_mm similar images 2'


@dataclass(frozen=True)
class ImageIndex:
    """Images with their embeddings, to find those that are similar to another image.

    Args:
        labels: Names of the K labels.
        fingerprint: :func:`fingerprint_of` the classifier that made the embeddings.
        names: Names of the N images.
        embeddings: Embeddings (N, M), float32.
        target: Labels of the images (N, K), int8: 1 present, 0 absent, -1 unknown.
        thumbnails: A small JPEG of each image (N).
        indecision: Indecision of each image (N,), float32, at the thresholds of the classifier.
        uncertainty: Uncertainty of each image (N,), float32; NaN for a head without one kernel per label.
    """

    labels: tuple[str, ...]
    fingerprint: str
    names: tuple[str, ...]
    embeddings: np.ndarray
    target: np.ndarray
    thumbnails: tuple[bytes, ...]
    indecision: np.ndarray
    uncertainty: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def labels_of(self, place: int) -> list[str]:
        """Names of an image's labels.

        Args:
            place: Place of the image in the index.

        Returns:
            The labels that are present.
        """
        return [name for name, state in zip(self.labels, self.target[place]) if state == 1]

    def nearest(self, embedding: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the images whose embeddings have the smallest Euclidean distance to this one.

        The kernels depend on differences of embeddings, so lengths matter: two embeddings of the same direction, whose
        cosine similarity is 1, can have very different kernels.

        Args:
            embedding: Embedding (M,).
            count: How many images; all of them where there are fewer.

        Returns:
            Their places in the index, nearest first, and their distances.

        Raises:
            ValueError: ``count`` is less than 1, or the embedding has another length.
        """
        check_at_least('count', count, 1)
        if embedding.shape != self.embeddings.shape[1:]:
            raise ValueError(
                f'Expected argument `embedding` to be of shape {self.embeddings.shape[1:]}, but got {embedding.shape}.'
            )
        query, embeddings = torch.from_numpy(np.asarray(embedding, np.float32)), torch.from_numpy(self.embeddings)
        # torch's default, a matrix product, loses the digits of small distances between long embeddings.
        distances = torch.cdist(query[None], embeddings, compute_mode='donot_use_mm_for_euclid_dist')[0].numpy()
        places = np.argsort(distances, kind='stable')[:count]
        return places, distances[places]

    def save(self, path: str | Path) -> None:
        """Write the index atomically.

        Args:
            path: The file to write, ending in .npz.

        Raises:
            ValueError: The path has another ending.
        """
        path = Path(path)
        if path.suffix != ENDING:
            raise ValueError(f'Expected argument `path` to end in {ENDING}, but got {path}.')
        with atomic_write(path) as unfinished:
            np.savez(
                unfinished,
                format=_FORMAT,
                labels=np.array(self.labels, str),
                fingerprint=self.fingerprint,
                names=np.array(self.names, str),
                embeddings=self.embeddings,
                target=self.target,
                thumbnails=np.frombuffer(b''.join(self.thumbnails), np.uint8),
                thumbnail_ends=np.cumsum([len(jpeg) for jpeg in self.thumbnails], dtype=np.int64),
                indecision=self.indecision,
                uncertainty=self.uncertainty,
            )


def load_index(path: str | Path, labels: Sequence[str] | None = None, fingerprint: str | None = None) -> ImageIndex:
    """Read an index, without running code from the file.

    Args:
        path: The file that :meth:`ImageIndex.save` wrote.
        labels: Names of the labels that it must have. Default: any.
        fingerprint: The :func:`fingerprint_of` that it must have. Default: any.

    Returns:
        The index.

    Raises:
        ValueError: There is no such file, it is no index, is damaged, or was made with another classifier.
    """
    try:
        arrays = _read(path)
        if arrays.get('format', np.array('')).item() != _FORMAT:
            raise ValueError(f'its format is not {_FORMAT!r}')
        index = _checked(arrays)
    except Exception as error:  # A damaged file can fail in any way.
        raise_storage_error(error)
        raise ValueError(
            f'{path} cannot be read as an index of similar images: {error}. Make one with tools/build_index.py.'
        ) from error
    if labels is not None and list(labels) != list(index.labels):
        raise ValueError(
            f'The labels of the index {path}, {list(index.labels)}, are not those of the checkpoint, {list(labels)}. '
            'Make it again with tools/build_index.py.'
        )
    if fingerprint is not None and fingerprint != index.fingerprint:
        raise ValueError(
            f'The index {path} was made with another checkpoint or test pipeline, so its distances mean nothing here. '
            'Make it again with tools/build_index.py.'
        )
    return index


def fingerprint_of(head: nn.Module, cfg: Config) -> str:
    """A short text that changes whenever embeddings do: with the weights, the test pipeline or the preprocessor.

    The head's weights stand for those of the whole network, with which they are trained. Fitted thresholds do not
    count, nor whether the configuration gives types as names or classes.

    Args:
        head: The classifier's head.
        cfg: Its configuration, with a test pipeline.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(head.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    settings = plain_settings(cfg.to_dict())
    pipeline = pipeline_of(settings['test_dataloader']['dataset'])
    preprocessors = [settings.get('data_preprocessor'), settings['model'].get('data_preprocessor')]
    digest.update(json.dumps([pipeline, preprocessors], sort_keys=True).encode())
    return digest.hexdigest()


def _read(path: str | Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            # A small file could fill the memory.
            raise ValueError('it has compressed entries')
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _checked(arrays: dict[str, Any]) -> ImageIndex:
    """The index, if its parts fit each other."""
    number, num_labels = len(arrays['names']), len(arrays['labels'])
    expected = dict(
        labels=((num_labels,), 'U'),
        names=((number,), 'U'),
        embeddings=((number, *arrays['embeddings'].shape[-1:]), 'f'),
        target=((number, num_labels), 'i'),
        thumbnails=((arrays['thumbnails'].size,), 'u'),
        thumbnail_ends=((number,), 'i'),
        indecision=((number,), 'f'),
        uncertainty=((number,), 'f'),
    )
    for name, (shape, kind) in expected.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind != kind:
            raise ValueError(f'its {name} are {arrays[name].dtype} {arrays[name].shape}, not of shape {shape}')
    if not number or not np.isfinite(arrays['embeddings']).all():
        raise ValueError('it has no images, or embeddings that are not finite')
    jpegs, ends = arrays['thumbnails'].tobytes(), [0, *arrays['thumbnail_ends'].tolist()]
    if sorted(ends) != ends or ends[-1] != len(jpegs):
        raise ValueError('its thumbnails are cut short')
    return ImageIndex(
        labels=tuple(arrays['labels'].tolist()),
        fingerprint=str(arrays['fingerprint'].item()),
        names=tuple(arrays['names'].tolist()),
        embeddings=arrays['embeddings'].astype(np.float32, copy=False),
        target=arrays['target'],
        thumbnails=tuple(jpegs[start:end] for start, end in zip(ends, ends[1:])),
        indecision=arrays['indecision'],
        uncertainty=arrays['uncertainty'],
    )
