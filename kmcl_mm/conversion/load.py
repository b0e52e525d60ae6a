"""Weights of any known kind into a model."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Union

import torch
from torch import Tensor, nn

from ..engine.fitted_thresholds_hook import use_fitted_thresholds
from .convert import convert, is_converted
from .weights import read_checkpoint, weights_in


class Loaded(NamedTuple):
    """What was loaded into a model.

    Attributes:
        content: What is in the checkpoint.
        initial: Names of the weights that it lacks, all of the head: they keep their values.
    """

    content: Dict[str, Any]
    initial: List[str]


def load_weights(model: nn.Module, path: Union[str, Path]) -> Loaded:
    """Load a checkpoint's weights, and the thresholds that were fitted for it, if any, into a model.

    Args:
        model: The classifier, changed in place.
        path: A checkpoint: of this package, or in the names of the published code, of ASL or of MIIL.

    Returns:
        What was loaded.

    Raises:
        ValueError: The checkpoint is of another model, not whole or could run code; or its weights are not finite, or
            its names of the labels or thresholds are none.
        FileNotFoundError: There is no such checkpoint.
    """
    content = read_checkpoint(path)
    weights = weights_in(content, path)
    tensors = weights.tensors if is_converted(weights) else convert(weights, model).state_dict
    expected = model.state_dict()
    wrong = [key for key in expected if key not in tensors and not key.startswith('head.')]
    wrong += [key for key, value in tensors.items() if key not in expected or expected[key].shape != value.shape]
    if wrong:
        raise ValueError(
            f'Expected {path} to be a checkpoint of this model, but it differs in {len(wrong)} tensors, {wrong[0]} for '
            'one. Use a checkpoint of this configuration, or the configuration that it was trained with.'
        )
    _check_values(tensors, expected, path)
    _check_meta(content, path)
    model.load_state_dict(tensors, strict=False)
    if is_converted(weights):
        try:
            use_fitted_thresholds(model, content)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
    return Loaded(content, [key for key in expected if key not in tensors])


def _check_values(tensors: Dict[str, Tensor], expected: Dict[str, Tensor], path: Union[str, Path]) -> None:
    for name, value in tensors.items():
        is_plain = value.layout == torch.strided and not value.is_meta and not value.is_quantized
        if not is_plain or value.is_floating_point() != expected[name].is_floating_point():
            raise ValueError(
                f'Expected {name} in {path} to be a tensor of {expected[name].dtype}, but got one of {value.dtype} '
                f'({value.layout}, on {value.device}). Save the state_dict of the model as it was trained.'
            )
        if not value.isfinite().all():
            raise ValueError(f'Expected {name} in {path} to be finite, but it is not. Use an earlier checkpoint.')


def _check_meta(content: Dict[str, Any], path: Union[str, Path]) -> None:
    """The names of the labels, where a training has left them."""
    meta = _dict_in(content, 'meta')
    dataset_meta = None if meta is None else _dict_in(meta, 'dataset_meta')
    if dataset_meta is None or not _are_names_or_none(dataset_meta.get('classes')):
        raise ValueError(
            f"Expected {path} to have its labels' names under meta / dataset_meta / classes, each once, but got "
            'another form. Use a checkpoint that tools/train.py wrote.'
        )


def _are_names_or_none(classes: Any) -> bool:
    if classes is None:
        return True
    are_names = isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes)
    return are_names and len(set(classes)) == len(classes)


def _dict_in(content: Dict[str, Any], name: str) -> Optional[Dict[str, Any]]:
    """An entry that is a dictionary, an empty one where there is none, or None where it is something else."""
    value = content.get(name)
    return {} if value is None else value if isinstance(value, dict) else None
