"""From the names of other code bases to this package's."""

from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

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
_OTHER_CLASSIFIER = 'a classifier of another form than the head of the model'
_FILTER = 'a constant filter, which timm computes'


class Conversion(NamedTuple):
    """Converted weights, and what became of each of them.

    Attributes:
        state_dict: Name and tensor in the model's names, shapes and types.
        used: Name in the file to name in the model.
        left_out: Name in the file to the reason why it is not used.
        initial: Names in the model that the file has no weights for; they are not in ``state_dict``.
    """

    state_dict: Dict[str, Tensor]
    used: Dict[str, str]
    left_out: Dict[str, str]
    initial: List[str]


def is_converted(weights: Weights) -> bool:
    """Whether the weights have this package's names already."""
    return weights.kind == 'kmcl_mm'


def convert(weights: Weights, model: nn.Module) -> Conversion:
    """Convert weights into those of a model.

    Args:
        weights: Weights of kind 'KMCL' or 'TResNet'.
        model: The model, an ImageClassifier whose backbone is a TResNet in a ``TIMMBackbone``. It is not changed.

    Returns:
        The conversion, with a state_dict that fits the model; each name of the file is used or left out with a reason,
        and each name of the model has a value but those of a head that the file has not.

    Raises:
        ValueError: The file is of another architecture, lacks weights, has unknown ones, or some that are not finite.
    """
    if is_converted(weights):
        raise ValueError(
            f'Expected {weights.path} to hold weights in the names of another code base (encoder.*, kmm.*, or body.*), '
            'but got those of the host (backbone.*). A checkpoint of kmcl_mm needs no conversion.'
        )
    expected = model.state_dict()
    named, left_out = _named(weights, expected)
    _check_architecture(weights, named, expected)
    _check_tensors(weights, named, expected)
    state_dict = {name: value.to(expected[name].dtype) for name, value in named.values()}
    missing = [name for name in expected if name not in state_dict]
    # In-place norms do not count their batches. The count serves nothing but norms without a momentum.
    counts = [name for name in missing if name.endswith('.num_batches_tracked')]
    state_dict.update({name: expected[name].new_zeros(()) for name in counts})
    initial = [name for name in missing if name not in counts]
    required = [name for name in initial if not _may_be_missing(name, weights)]
    if required:
        raise ValueError(
            f'Expected {weights.path} to hold all weights of the {weights.kind} network, but it has none for '
            f'{listed(required)}. Use a whole checkpoint, or the configuration that it was trained with.'
        )
    used = {old: new for old, (new, _) in named.items()}
    return Conversion(state_dict, used, left_out, initial)


def _named(weights: Weights, expected: Dict[str, Tensor]) -> Tuple[Dict[str, Tuple[str, Tensor]], Dict[str, str]]:
    """Name in the file to name in the model and value; and name in the file to why it is left out."""
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
            f'Expected {weights.path} to hold {prefix}body.*'
            f'{", downsampler.* and kmm.*" if prefix else " and a classifier"}, but got {listed(unknown)} as well: it '
            'is of another architecture.'
        )
    named.update({prefix + old: (_BACKBONE + new, value) for old, (new, value) in timm_tensors(body).items()})
    return named, left_out


def _reason_to_leave_out(name: str, value: Tensor, prefix: str, expected: Dict[str, Tensor]) -> Optional[str]:
    if name.endswith('.filt'):
        return _FILTER
    if prefix and name.startswith('encoder.head.'):
        return _UNUSED_CLASSIFIER
    if not prefix and name.startswith(('head.', 'fc.')):
        target = expected.get(_head_name(name) or '')
        return None if target is not None and target.shape == value.shape else _OTHER_CLASSIFIER
    return None


def _head_name(name: str) -> Optional[str]:
    """The name in the model's head, or None."""
    module, _, parameter = name.rpartition('.')
    if parameter not in ('weight', 'bias'):
        return None
    new_module = {'head.fc': 'head.fc', 'fc': 'head.fc', **_HEAD}.get(module)
    return None if new_module is None else f'{new_module}.{parameter}'


def _check_architecture(weights: Weights, named: Dict[str, Tuple[str, Tensor]], expected: Dict[str, Tensor]) -> None:
    def layout(tensors: Iterable[Tuple[str, Tensor]]) -> Optional[Layout]:
        return layout_of({name.removeprefix(_BACKBONE): value.shape for name, value in tensors})

    wanted, got = layout(expected.items()), layout(named.values())
    if wanted is None:
        raise ValueError(
            f'Expected argument `model` to have a TResNet in a TIMMBackbone, as {weights.path} has, but got another '
            'backbone. Use the configuration of a TResNet.'
        )
    if wanted != got:
        raise ValueError(
            f'Expected {weights.path} to hold {wanted}, the backbone of the model, but got {got or "no TResNet"}. Use '
            'a configuration with that backbone, or the checkpoint of this one.'
        )


def _check_tensors(weights: Weights, named: Dict[str, Tuple[str, Tensor]], expected: Dict[str, Tensor]) -> None:
    """Each tensor has a place in the model, its shape, and finite values."""
    homeless = [old for old, (new, _) in named.items() if new not in expected]
    if homeless:
        raise ValueError(
            f'Expected {weights.path} to fit the model, but the model has no place for {listed(homeless)}: it has '
            'another backbone or head. Use the configuration that the weights were trained with.'
        )
    for old, (new, value) in named.items():
        if value.shape != expected[new].shape:
            raise ValueError(
                f'Expected {old} in {weights.path} to have the shape {tuple(expected[new].shape)} of {new}, but got '
                f'{tuple(value.shape)}. Use a configuration with this number of labels, covariance and similarity.'
            )
        if not value.isfinite().all():
            raise ValueError(f'Expected {old} in {weights.path} to be finite, but it is not. Use another checkpoint.')


def _may_be_missing(name: str, weights: Weights) -> bool:
    """A TResNet alone has no head; a network trained with the asymmetric loss alone has no kernels."""
    if weights.kind == 'TResNet':
        return name.startswith('head.')
    without_kernels = not any(old.startswith(('kmm.mean.', 'kmm.var.')) for old in weights.tensors)
    return without_kernels and name.startswith(('head.mean.', 'head.variance.'))
