"""Similar images: an index of embeddings with labels and small pictures, in one file."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from ..files import written_whole
from ..functional.checks import check_at_least

ENDING = '.npz'
_FORMAT = 'kmcl_mm similar images 2'


@dataclass(frozen=True)
class ImageIndex:
    """Images with their embeddings, to look up those that a classifier finds similar to another one.

    Args:
        labels: Names of the K labels.
        fingerprint: What :func:`fingerprint_of` gives of the classifier that made the embeddings.
        names: Names of the N images.
        embeddings: Embeddings (N, M), float32.
        target: Labels of the images (N, K), int8: 1 present, 0 absent, -1 unknown.
        thumbnails: A small JPEG of each image (N).
        indecision: Indecision of each image (N,), float32, at the thresholds of the classifier.
        uncertainty: Uncertainty of each image (N,), float32; NaN for a head without kernels of the labels.
    """

    labels: Tuple[str, ...]
    fingerprint: str
    names: Tuple[str, ...]
    embeddings: np.ndarray
    target: np.ndarray
    thumbnails: Tuple[bytes, ...]
    indecision: np.ndarray
    uncertainty: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def labels_of(self, place: int) -> List[str]:
        """Names of an image's labels.

        Args:
            place: Place of the image in the index.

        Returns:
            The labels that are present.
        """
        return [name for name, state in zip(self.labels, self.target[place]) if state == 1]

    def nearest(self, embedding: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
        """The images whose embeddings have the smallest Euclidean distance to this one.

        The kernels of the mixture are functions of differences of embeddings, so that lengths count: a cosine would
        call two embeddings similar that the kernels tell apart.

        Args:
            embedding: Embedding (M,).
            count: How many images; all of them where there are fewer.

        Returns:
            Their places in the index, the nearest first, and their distances.

        Raises:
            ValueError: ``count`` is less than 1, or the embedding has another length.
        """
        check_at_least('count', count, 1)
        if embedding.shape != self.embeddings.shape[1:]:
            raise ValueError(
                f'Expected argument `embedding` to be of shape {self.embeddings.shape[1:]}, but got {embedding.shape}.'
            )
        query = torch.from_numpy(np.asarray(embedding, np.float32))[None]
        # Differences, not products: those lose the digits of small distances between long embeddings.
        distances = torch.cdist(query, torch.from_numpy(self.embeddings), compute_mode='donot_use_mm_for_euclid_dist')[
            0
        ].numpy()
        places = np.argsort(distances, kind='stable')[:count]
        return places, distances[places]

    def save(self, path: Union[str, Path]) -> None:
        """Write the index; the file is there whole or not at all.

        Args:
            path: The file to write, ending in .npz.

        Raises:
            ValueError: The path has another ending.
        """
        path = Path(path)
        if path.suffix != ENDING:
            raise ValueError(f'Expected argument `path` to end in {ENDING}, but got {path}.')
        with written_whole(path) as unfinished:
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


def load_index(
    path: Union[str, Path], labels: Optional[Sequence[str]] = None, fingerprint: Optional[str] = None
) -> ImageIndex:
    """Read an index, without running code from the file.

    Args:
        path: The file that :meth:`ImageIndex.save` wrote.
        labels: Names of the labels that it must have. Default: any.
        fingerprint: What :func:`fingerprint_of` must have given of its classifier. Default: anything.

    Returns:
        The index.

    Raises:
        ValueError: There is no such file, it is not such an index, it is damaged, or it is of another classifier.
    """
    try:
        arrays = _read(path)
        if arrays.get('format', np.array('')).item() != _FORMAT:
            raise ValueError(f'it does not say that it is one ({_FORMAT!r})')
        index = _checked(arrays)
    except Exception as error:  # A damaged file can fail in any way.
        raise ValueError(
            f'Expected {path} to be an index of similar images, but it cannot be read: {error}. Make it with '
            'tools/build_index.py.'
        ) from error
    if labels is not None and list(labels) != list(index.labels):
        raise ValueError(
            f'Expected the index {path} to have the labels of the checkpoint, {list(labels)}, but it has '
            f'{list(index.labels)}. Make it again with tools/build_index.py.'
        )
    if fingerprint is not None and fingerprint != index.fingerprint:
        raise ValueError(
            f'Expected the index {path} to be of this checkpoint and test pipeline, but it was made with other ones: '
            'its distances would mean nothing. Make it again with tools/build_index.py.'
        )
    return index


def fingerprint_of(head: nn.Module, cfg: Config) -> str:
    """A short text that changes with what changes embeddings: another training, test pipeline or preprocessor.

    The head's weights stand for those of the network, which are trained together with it. Fitted thresholds do not
    count.

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
    settings = cfg.to_dict()
    pipeline = settings['test_dataloader']['dataset']['pipeline']
    preprocessors = [settings.get('data_preprocessor'), settings['model'].get('data_preprocessor')]
    digest.update(json.dumps([pipeline, preprocessors], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _read(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            # A small file could fill the memory.
            raise ValueError('it has compressed entries, which it is not written with')
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _checked(arrays: Dict[str, Any]) -> ImageIndex:
    """The index, once its parts fit each other."""
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
        raise ValueError('its thumbnails are not whole')
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
