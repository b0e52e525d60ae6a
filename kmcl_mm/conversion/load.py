"""Weights of any known kind into a model."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Union

from torch import nn

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
        ValueError: The checkpoint is of another model, not whole or could run code.
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
    model.load_state_dict(tensors, strict=False)
    if is_converted(weights):
        use_fitted_thresholds(model, content)
    return Loaded(content, [key for key in expected if key not in tensors])
