"""What became of each weight of a conversion, in words, and its result as a checkpoint."""

from pathlib import Path
from typing import Dict, List, Union

import torch

from ..files import written_whole
from .convert import Conversion
from .weights import Weights


def format_conversion(weights: Weights, conversion: Conversion) -> str:
    """Describe a conversion: a line for each name of the file, and what the model has beside them.

    Args:
        weights: The weights as they were.
        conversion: What became of them.

    Returns:
        The description.
    """
    width = max(map(len, weights.tensors))
    lines = [f'{weights.path}: a {weights.kind} network' + (f', in {weights.entry}' if weights.entry else '')]
    lines += [f'{old:{width}}  ->  {new}' for old, new in conversion.used.items()]
    lines += [f'{old:{width}}  left out: {reason}' for old, reason in conversion.left_out.items()]
    lines += [f'{name:{width}}  of the model keeps its initial value' for name in conversion.initial]
    if weights.others:
        lines.append(f'Other entries of the file, left out: {", ".join(weights.others)}')
    lines.append(
        f'{len(weights.tensors)} tensors: {len(conversion.used)} used, {len(conversion.left_out)} left out; '
        f'{len(conversion.initial)} of the model not in the file.'
    )
    return '\n'.join(lines)


def describe_use(conversion: Conversion, path: Union[str, Path]) -> str:
    """Say what the written checkpoint is good for.

    Args:
        conversion: The conversion that it holds.
        path: The checkpoint.

    Returns:
        A command and what it does.
    """
    if any(name.startswith(('head.logits.', 'head.fc.')) for name in conversion.state_dict):
        return f'The whole model: python tools/test.py CONFIG {path}'
    return (
        'A backbone without a head, to train from: python tools/train.py CONFIG --cfg-options '
        f'model.backbone.pretrained=False load_from={path}'
    )


def save_conversion(weights: Weights, conversion: Conversion, path: Union[str, Path]) -> None:
    """Write converted weights as a checkpoint of the host's form; the file is there whole or not at all.

    Args:
        weights: The weights as they were.
        conversion: What became of them.
        path: The file to write, or to replace.
    """
    origin: Dict[str, Union[str, List[str]]] = dict(
        file=Path(weights.path).name, entry=weights.entry, kind=weights.kind, left_out=list(conversion.left_out)
    )
    with written_whole(path) as unfinished:
        torch.save(dict(meta=dict(converted_from=origin), state_dict=conversion.state_dict), unfinished)
