"""A conversion in words, and as a checkpoint."""

from pathlib import Path

import torch

from ..files import atomic_write
from .convert import Conversion
from .weights import Weights


def format_conversion(weights: Weights, conversion: Conversion) -> str:
    """Describe a conversion with one line per name in the file, and per name that only the model has.

    Args:
        weights: The original weights.
        conversion: Their conversion.

    Returns:
        The description.
    """
    width = max(map(len, weights.tensors))
    lines = [f'{weights.path}: a {weights.kind} network' + (f', in {weights.entry}' if weights.entry else '')]
    lines += [f'{old:{width}}  ->  {new}' for old, new in conversion.used.items()]
    lines += [f'{old:{width}}  left out: {reason}' for old, reason in conversion.left_out.items()]
    lines += [f'{name:{width}}  (model)  keeps its initial value' for name in conversion.initial]
    if weights.others:
        lines.append(f'Unused entries of the file: {", ".join(weights.others)}')
    lines.append(
        f'{len(weights.tensors)} tensors: {len(conversion.used)} used, {len(conversion.left_out)} left out; '
        f'{len(conversion.initial)} of the model keep their initial values.'
    )
    return '\n'.join(lines)


def describe_use(conversion: Conversion, path: str | Path) -> str:
    """Describe how to use the written checkpoint.

    Args:
        conversion: The conversion in it.
        path: The checkpoint.

    Returns:
        A command, and its purpose.
    """
    if any(name.startswith(('head.logits.', 'head.fc.')) for name in conversion.state_dict):
        return f'This is a complete model: python tools/test.py CONFIG {path}'
    return (
        'This is a backbone without a head, to train from: python tools/train.py CONFIG --cfg-options '
        f'model.backbone.pretrained=False load_from={path}'
    )


def save_conversion(weights: Weights, conversion: Conversion, path: str | Path) -> None:
    """Write converted weights atomically as a checkpoint of MMEngine.

    Args:
        weights: The original weights.
        conversion: Their conversion.
        path: The file to write, or to replace.
    """
    origin: dict[str, str | list[str]] = dict(
        file=Path(weights.path).name, entry=weights.entry, kind=weights.kind, left_out=list(conversion.left_out)
    )
    with atomic_write(path) as unfinished:
        torch.save(dict(meta=dict(converted_from=origin), state_dict=conversion.state_dict), unfinished)
