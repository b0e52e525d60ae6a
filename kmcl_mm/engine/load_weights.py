"""Loading of weights of any known kind into a model."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..conversion import convert, is_converted, weights_in
from ..errors import listed
from .checkpoint import load_checkpoint
from .checkpoint_labels import classes_in
from .fitted import use_fitted


class Loaded(NamedTuple):
    """The result of loading weights into a model.

    Attributes:
        content: The content of the checkpoint.
        initial: Names of the weights of the head that it lacks; they keep their values.
    """

    content: dict[str, Any]
    initial: list[str]


def load_weights(model: nn.Module, path: str | Path, needs_head: bool = False) -> Loaded:
    """Load a checkpoint's weights, and the thresholds and calibration that were fitted for it, into a model.

    Args:
        model: The classifier, changed in place.
        path: A checkpoint: of this package, or in the names of the published code, of ASL or of MIIL.
        needs_head: Refuse a checkpoint without a head.

    Returns:
        The content of the checkpoint, and the names of missing weights.

    Raises:
        ValueError: The checkpoint is of another model, corrupt or could run code; or its weights are not finite, or
            its label names or thresholds have another form.
        FileNotFoundError: There is no such checkpoint.
    """
    content = load_checkpoint(path)
    tensors = tensors_for(model, content, path)
    expected = model.state_dict()
    check_fit(tensors, expected, path, needs_head)
    classes_in(content, path)
    model.load_state_dict(tensors, strict=False)
    try:
        use_fitted(model, content)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return Loaded(content, [name for name in expected if name not in tensors])


def tensors_for(model: nn.Module, content: Any, path: str | Path) -> dict[str, Tensor]:
    """Find the weights in a checkpoint, by the names of a model.

    Args:
        model: The model.
        content: The content of the checkpoint.
        path: Its path, for messages.

    Returns:
        The tensors, without the prefixes of wrappers, of which some may not fit the model; those in the names of
        another code base are converted, and fit.

    Raises:
        ValueError: There are no weights of a known kind, or they are of another architecture.
    """
    weights = weights_in(content, path, own_names=model.state_dict())
    return weights.tensors if is_converted(weights) else convert(weights, model).state_dict


def check_fit(
    tensors: dict[str, Tensor], expected: dict[str, Tensor], path: str | Path, needs_head: bool = True
) -> None:
    """Refuse weights that are not those of a model.

    Args:
        tensors: Tensors of a checkpoint by name.
        expected: Tensors of the model by name.
        path: Path of the checkpoint, for messages.
        needs_head: Whether weights of the head may not be missing.

    Raises:
        ValueError: A name or a shape is another one, or a value is not finite or no plain number.
    """
    missing = [name for name in expected if name not in tensors]
    wrong = [name for name in missing if not name.startswith('head.')]
    wrong += [name for name, value in tensors.items() if name not in expected or expected[name].shape != value.shape]
    if wrong:
        raise ValueError(
            f'{path} is not a checkpoint of this model: {len(wrong)} tensors differ, such as {wrong[0]}. Use a '
            'checkpoint of this configuration, or the configuration that it was trained with.'
        )
    if missing and needs_head:
        raise ValueError(
            f'{path} lacks {listed(missing)}, without which predictions would be random. Train from it first '
            '(load_from).'
        )
    for name, value in tensors.items():
        is_plain = value.layout == torch.strided and not value.is_meta and not value.is_quantized
        if not is_plain or value.is_floating_point() != expected[name].is_floating_point():
            raise ValueError(
                f'Expected {name} in {path} to be a tensor of {expected[name].dtype}, but got one of {value.dtype} '
                f'({value.layout}, on {value.device}). Save the state_dict of the trained model.'
            )
        if not value.isfinite().all():
            raise ValueError(f'{name} in {path} is not finite. Use an earlier checkpoint.')
