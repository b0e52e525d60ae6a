"""Conversion of weights with the names of other code bases."""

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn

from ..errors import listed
from .tresnet import Layout, layout_of, timm_tensors
from .weights import Weights

_BACKBONE = 'backbone.timm_model.'
_HEAD = {
    'downsampler': 'head.embedding',
    'kmm.pi': 'head.logits',
    'kmm.mean': 'head.mean',
    'kmm.var': 'head.variance',
}
_UNUSED_CLASSIFIER = 'a classifier that KMCL does not use'
_OTHER_CLASSIFIER = 'a classifier that does not fit the head'
_FILTER = 'a constant filter, which timm computes'


class Conversion(NamedTuple):
    """Converted weights, and the conversion of each name.

    Attributes:
        state_dict: Tensors by the model's names, in its shapes and types.
        used: Names in the model by names in the file.
        left_out: Reasons by names in the file that are not used.
        initial: Names in the model for which the file has no weights; ``state_dict`` lacks them.
    """

    state_dict: dict[str, Tensor]
    used: dict[str, str]
    left_out: dict[str, str]
    initial: list[str]


def is_converted(weights: Weights) -> bool:
    """Whether the weights already have this package's names."""
    return weights.kind == 'kmcl_mm'


def convert(weights: Weights, model: nn.Module) -> Conversion:
    """Convert weights into those of a model.

    Args:
        weights: Weights of kind 'KMCL' or 'TResNet'.
        model: The model, an ImageClassifier whose backbone is a TResNet in a ``TIMMBackbone``. It is not changed.

    Returns:
        The conversion. Each name of the file is used, or left out with a reason. Each name of the model has a value,
        except those of a head that the file lacks.

    Raises:
        ValueError: The file is of another architecture, lacks weights, or has unknown ones or ones that are not finite.
    """
    if is_converted(weights):
        raise ValueError(
            f'{weights.path} needs no conversion: it has the names of kmcl_mm (backbone.*), not those of another code '
            'base (encoder.*, kmm.* or body.*).'
        )
    expected = model.state_dict()
    named, left_out = _named(weights, expected)
    _check_architecture(weights, named, expected)
    _check_tensors(weights, named, expected)
    state_dict = {name: value.to(expected[name].dtype) for name, value in named.values()}
    missing = [name for name in expected if name not in state_dict]
    # In-place norms do not count their batches. Only norms without a momentum need the count.
    counts = [name for name in missing if name.endswith('.num_batches_tracked')]
    state_dict.update({name: expected[name].new_zeros(()) for name in counts})
    initial = [name for name in missing if name not in counts]
    required = [name for name in initial if not _may_be_missing(name, weights)]
    if required:
        raise ValueError(
            f'{weights.path} lacks weights of the {weights.kind} network: {listed(required)}. Use a complete '
            'checkpoint, or the configuration that it was trained with.'
        )
    used = {old: new for old, (new, _) in named.items()}
    return Conversion(state_dict, used, left_out, initial)


def _named(weights: Weights, expected: dict[str, Tensor]) -> tuple[dict[str, tuple[str, Tensor]], dict[str, str]]:
    """Names in the model and values, and reasons to leave out, both by names in the file."""
    prefix = 'encoder.' if weights.kind == 'KMCL' else ''
    body, named, left_out, unknown = {}, {}, {}, []
    for name, value in weights.tensors.items():
        reason = _reason_to_leave_out(name, value, prefix, expected)
        if reason is not None:
            left_out[name] = reason
        elif name.startswith(f'{prefix}body.'):
            body[name.removeprefix(prefix)] = value
        elif (head_name := _head_name(name)) is not None:
            named[name] = (head_name, value.squeeze(-1) if name == 'downsampler.weight' else value)
        else:
            unknown.append(name)
    if unknown:
        raise ValueError(
            f'{weights.path} is of another architecture: besides {prefix}body.*'
            f'{", downsampler.* and kmm.*" if prefix else " and a classifier"} it has {listed(unknown)}.'
        )
    named.update({prefix + old: (_BACKBONE + new, value) for old, (new, value) in timm_tensors(body).items()})
    return named, left_out


def _reason_to_leave_out(name: str, value: Tensor, prefix: str, expected: dict[str, Tensor]) -> str | None:
    if name.endswith('.filt'):
        return _FILTER
    if prefix and name.startswith('encoder.head.'):
        return _UNUSED_CLASSIFIER
    if not prefix and name.startswith(('head.', 'fc.')):
        target = expected.get(_head_name(name) or '')
        return None if target is not None and target.shape == value.shape else _OTHER_CLASSIFIER
    return None


def _head_name(name: str) -> str | None:
    """The name in the model's head, or None."""
    module, _, parameter = name.rpartition('.')
    if parameter not in ('weight', 'bias'):
        return None
    new_module = {'head.fc': 'head.fc', 'fc': 'head.fc', **_HEAD}.get(module)
    return None if new_module is None else f'{new_module}.{parameter}'


def _check_architecture(weights: Weights, named: dict[str, tuple[str, Tensor]], expected: dict[str, Tensor]) -> None:
    def layout(tensors: Iterable[tuple[str, Tensor]]) -> Layout | None:
        return layout_of({name.removeprefix(_BACKBONE): value.shape for name, value in tensors})

    wanted, got = layout(expected.items()), layout(named.values())
    if wanted is None:
        raise ValueError(
            f'{weights.path} is a TResNet, but the backbone of the model is not. Use a configuration with a TResNet in '
            'a TIMMBackbone.'
        )
    if wanted != got:
        raise ValueError(
            f'{weights.path} has {got or "no TResNet"}, but the backbone of the model is {wanted}. Use a configuration '
            'with that backbone, or another checkpoint.'
        )


def _check_tensors(weights: Weights, named: dict[str, tuple[str, Tensor]], expected: dict[str, Tensor]) -> None:
    """Check that the model has each tensor in the same shape, and that values are finite."""
    homeless = [old for old, (new, _) in named.items() if new not in expected]
    if homeless:
        raise ValueError(
            f'{weights.path} does not fit the model, whose backbone or head lacks {listed(homeless)}. Use the '
            'configuration that the weights were trained with.'
        )
    for old, (new, value) in named.items():
        if value.shape != expected[new].shape:
            raise ValueError(
                f'{old} in {weights.path} has the shape {tuple(value.shape)}, but {new} of the model has '
                f'{tuple(expected[new].shape)}. Use a configuration with this number of labels, covariance and '
                'similarity.'
            )
        if not value.isfinite().all():
            raise ValueError(f'{old} in {weights.path} is not finite. Use another checkpoint.')


def _may_be_missing(name: str, weights: Weights) -> bool:
    """A TResNet has no head; a network trained with the asymmetric loss alone has no kernels."""
    if weights.kind == 'TResNet':
        return name.startswith('head.')
    without_kernels = not any(old.startswith(('kmm.mean.', 'kmm.var.')) for old in weights.tensors)
    return without_kernels and name.startswith(('head.mean.', 'head.variance.'))
