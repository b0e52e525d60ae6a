"""The labels that a checkpoint was trained for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checks import are_names


def classes_in(content: dict[str, Any], path: str | Path) -> list[str] | None:
    """Names of the labels in a checkpoint, which MMEngine writes there.

    Args:
        content: The content of the checkpoint.
        path: Its path, for messages.

    Returns:
        The names in the order of the outputs, or None.

    Raises:
        ValueError: They are not names, or one is there twice.
    """
    meta = _dict_in(content, 'meta')
    dataset_meta = None if meta is None else _dict_in(meta, 'dataset_meta')
    if dataset_meta is not None and dataset_meta.get('classes') is None:
        return None
    if dataset_meta is None or not are_names(dataset_meta['classes']):
        raise ValueError(
            f'The label names in {path}, meta / dataset_meta / classes, are not a list of different names. Use a '
            'checkpoint that tools/train.py wrote.'
        )
    return list(dataset_meta['classes'])


def check_same_labels(content: dict[str, Any], path: str | Path, classes: Sequence[str] | None) -> None:
    """Refuse a checkpoint of other labels than the data's, or of the same ones in another order.

    Args:
        content: The content of the checkpoint. One that names no labels passes.
        path: Its path, for messages.
        classes: Names of the data's labels, or None where it has none.

    Raises:
        ValueError: The labels differ.

    Example:
        >>> check_same_labels(dict(meta=dict(dataset_meta=dict(classes=['cat', 'dog']))), 'a.pth', ('cat', 'dog'))
    """
    trained = classes_in(content, path)
    if trained is None or classes is None or trained == list(classes):
        return
    difference = 'in another order' if sorted(trained) == sorted(classes) else 'others'
    raise ValueError(
        f'{path} was trained for the labels {trained}, but those of the data are {difference}: {list(classes)}. Use '
        'the configuration that it was trained with, or give the data sets its labels with metainfo=dict(classes='
        '(...)). To train on for other labels start from it with load_from instead of --resume.'
    )


def _dict_in(content: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The dictionary of this name, empty if it is missing; None if the entry is no dictionary."""
    value = content.get(name)
    return {} if value is None else value if isinstance(value, dict) else None
