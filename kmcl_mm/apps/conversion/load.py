"""Loading of weights of any known kind into a model."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...checks import are_names
from ...engine import load_checkpoint
from ...engine.fitted_thresholds_hook import use_fitted_thresholds
from .convert import convert, is_converted
from .weights import weights_in


class Loaded(NamedTuple):
    """The result of loading weights into a model.

    Attributes:
        content: The content of the checkpoint.
        initial: Names of the weights of the head that it lacks; they keep their values.
    """

    content: dict[str, Any]
    initial: list[str]


def load_weights(model: nn.Module, path: str | Path) -> Loaded:
    """Load a checkpoint's weights, and its fitted thresholds if there are any, into a model.

    Args:
        model: The classifier, changed in place.
        path: A checkpoint: of this package, or in the names of the published code, of ASL or of MIIL.

    Returns:
        The content of the checkpoint, and the names of missing weights.

    Raises:
        ValueError: The checkpoint is of another model, corrupt or could run code; or its weights are not finite, or
            its label names or thresholds have another form.
        FileNotFoundError: There is no such checkpoint.
    """
    content = load_checkpoint(path)
    weights = weights_in(content, path)
    tensors = weights.tensors if is_converted(weights) else convert(weights, model).state_dict
    expected = model.state_dict()
    wrong = [key for key in expected if key not in tensors and not key.startswith('head.')]
    wrong += [key for key, value in tensors.items() if key not in expected or expected[key].shape != value.shape]
    if wrong:
        raise ValueError(
            f'{path} is not a checkpoint of this model: {len(wrong)} tensors differ, such as {wrong[0]}. Use a '
            'checkpoint of this configuration, or the configuration that it was trained with.'
        )
    _check_values(tensors, expected, path)
    classes_in(content, path)
    model.load_state_dict(tensors, strict=False)
    if is_converted(weights):
        try:
            use_fitted_thresholds(model, content)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
    return Loaded(content, [key for key in expected if key not in tensors])


def _check_values(tensors: dict[str, Tensor], expected: dict[str, Tensor], path: str | Path) -> None:
    for name, value in tensors.items():
        is_plain = value.layout == torch.strided and not value.is_meta and not value.is_quantized
        if not is_plain or value.is_floating_point() != expected[name].is_floating_point():
            raise ValueError(
                f'Expected {name} in {path} to be a tensor of {expected[name].dtype}, but got one of {value.dtype} '
                f'({value.layout}, on {value.device}). Save the state_dict of the trained model.'
            )
        if not value.isfinite().all():
            raise ValueError(f'{name} in {path} is not finite. Use an earlier checkpoint.')


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


def _dict_in(content: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The dictionary of this name, empty if it is missing; None if the entry is no dictionary."""
    value = content.get(name)
    return {} if value is None else value if isinstance(value, dict) else None
