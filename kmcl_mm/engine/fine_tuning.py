"""A head for other labels than those of the checkpoint it starts from."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ..errors import listed

# Layers of KMCLHead and of MMPretrain's linear heads whose rows belong to labels; those of one label are K apart.
_LABEL_LAYERS = ('logits', 'mean', 'variance', 'fc')


class Start(NamedTuple):
    """Weights to start from.

    Attributes:
        tensors: Tensors of the checkpoint by name, those of the head in the model's shapes.
        summary: What of the head is the checkpoint's and what starts anew, as a sentence.
    """

    tensors: dict[str, Tensor]
    summary: str


def start_from(
    model: nn.Module, tensors: dict[str, Tensor], trained: Sequence[str] | None, classes: Sequence[str] | None
) -> Start:
    """Fit the head of a checkpoint to other labels: the rows of a label go where the label is now.

    Args:
        model: The model that is to be trained, with its initial values.
        tensors: Tensors of the checkpoint by name.
        trained: Labels of the checkpoint in the order of its outputs; None where it does not name them, and its head
            is taken as it is if it fits.
        classes: Labels of the data in their order; None where it does not name them.

    Returns:
        The weights, without those that have no place in the model's head, or whose rows nothing is known about.
    """
    fitting = {name: value for name, value in tensors.items() if not name.startswith('head.')}
    head = {name: value for name, value in model.state_dict().items() if name.startswith('head.')}
    has_other_labels = trained is not None and classes is not None and list(trained) != list(classes)
    kept: set[str] = set()
    for name, own in head.items():
        value = tensors.get(name)
        if value is None:
            continue
        if has_other_labels and _is_of_labels(model, name):
            value = _moved(value, list(trained or ()), own, list(classes or ()))
            kept.update(set(trained or ()) & set(classes or ()) if value is not None else ())
        elif value.shape != own.shape or (has_other_labels and not _is_shared(model, name)):
            value = None
        if value is not None:
            fitting[name] = value
    initial = [name for name in head if name not in fitting]
    sentences = []
    if has_other_labels:
        rows = {True: 'taken over', False: 'new'}
        for is_kept, what in rows.items():
            names = [name for name in classes or () if (name in kept) is is_kept]
            sentences.append(f'labels of the head {what}: {listed(names) or "none"}')
    elif trained is None and classes is not None and len(initial) < len(head):
        sentences.append('the labels of its head are not named, and taken in their order')
    if initial:
        sentences.append(f'weights of the head that start anew: {listed(initial)}')
    return Start(fitting, '; '.join(sentences))


def _is_of_labels(model: nn.Module, name: str) -> bool:
    """Whether rows of a head's tensor belong to labels."""
    return name.split('.')[1] in _LABEL_LAYERS and not _is_shared(model, name)


def _is_shared(model: nn.Module, name: str) -> bool:
    """Whether a tensor of KMCLHead is the same for all labels."""
    layer, similarity = name.split('.')[1], getattr(model.head, 'similarity', None)
    return layer == 'embedding' or (layer == 'variance' and similarity != 'bhattacharyya')


def _moved(value: Tensor, trained: list[str], own: Tensor, classes: list[str]) -> Tensor | None:
    """A model's own tensor with the rows of the labels that both have, or None where the shapes do not belong."""
    rows, own_rows = value.shape[0] / len(trained), own.shape[0] / len(classes)
    if rows != own_rows or not rows.is_integer() or value.shape[1:] != own.shape[1:]:
        return None
    both = [name for name in classes if name in trained]
    moved = own.clone()
    source = value.to(own).unflatten(0, (int(rows), len(trained)))
    moved.unflatten(0, (int(rows), len(classes)))[:, [classes.index(name) for name in both]] = source[
        :, [trained.index(name) for name in both]
    ]
    return moved
