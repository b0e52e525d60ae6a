"""Settings on the command line, checked against the configuration and the types in it."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import mmpretrain.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

# How alike a misspelt name is, by difflib's ratio.
_ALIKE = 0.8
# These are no misspellings of one another, as 'val_dataloader' might be of 'train_dataloader'. The runner takes some as
# arguments, and reads the others from the configuration.
_READ_BY_THE_RUNNER = frozenset(
    (
        *inspect.signature(Runner).parameters,
        'activation_checkpointing',
        'channels_last',
        'compile',
        'custom_imports',
        'efficient_conv_bn_eval',
        'find_unused_parameters',
        'model_wrapper_cfg',
        'runner_type',
        'sync_bn',
        'tta_model',
        'tta_pipeline',
    )
)
# Taken from a dictionary before its type is built with the rest.
_READ_BY_BUILDERS = frozenset(
    ('type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg', 'convert_to_iter_based')
)


def check_options(options: Mapping[str, Any], cfg: Config, name: str) -> None:
    """Refuse settings that a configuration does not have and that nothing would read.

    A setting may be new where the type in its dictionary accepts it. Where nobody can tell, because the dictionary has
    no type or its type passes arguments on, it may be new unless its name is nearly one that is known. A new part, such
    as a hook, is accepted with any name if the options give its ``type``.

    Args:
        options: The settings by name, such as ``{'model.head.thr': 0.5}``.
        cfg: The configuration.
        name: What to call it in messages.

    Raises:
        ValueError: A setting that is misspelt or not accepted.

    Example:
        >>> check_options({'model.head.thrr': 0.5}, Config(dict(model=dict(head=dict(type='KMCLHead')))), 'my.py')
        Traceback (most recent call last):
        ...
        ValueError: Unknown setting model.head.thrr in my.py. Did you mean thr?
    """
    for option in options:
        settings: Any = cfg
        parts = option.split('.')
        for depth, part in enumerate(parts, start=1):
            if isinstance(settings, (list, tuple)) and part.isdigit() and int(part) < len(settings):
                settings = settings[int(part)]
                continue
            if not isinstance(settings, (Mapping, Config)):
                break
            if part not in settings:
                if f'{".".join(parts[:depth])}.type' not in options:
                    _check_new_name(part, settings, option, name)
                break
            settings = settings[part]


def _check_new_name(part: str, settings: Any, option: str, name: str) -> None:
    known = set(settings)
    is_closed = False
    if isinstance(settings, Config):
        if part in _READ_BY_THE_RUNNER:
            return
        known |= _READ_BY_THE_RUNNER
    elif 'type' in settings:
        if part in _READ_BY_BUILDERS:
            return
        accepted, is_closed = _arguments_of_type(settings['type'])
        if part in accepted:
            return
        known |= accepted
    alike = get_close_matches(part, known, n=1, cutoff=_ALIKE)
    if alike:
        raise ValueError(f'Unknown setting {option} in {name}. Did you mean {alike[0]}?')
    if is_closed:
        kind = settings['type'] if isinstance(settings['type'], str) else settings['type'].__name__
        raise ValueError(f'Unknown setting {option} in {name}. {kind} takes {", ".join(sorted(known))}.')


def _arguments_of_type(kind: Any) -> tuple[set[str], bool]:
    """Names that a type takes, and whether it takes no others."""
    if isinstance(kind, str):
        registries = [value for value in vars(mmpretrain.registry).values() if isinstance(value, Registry)]
        kinds = {found for registry in registries if (found := registry.get(kind)) is not None}
    else:
        kinds = {kind}
    found = [_arguments_of(found) for found in kinds]
    return set().union(*(names for names, _ in found)), bool(found) and all(closed for _, closed in found)


def _arguments_of(kind: Any) -> tuple[set[str], bool]:
    if not inspect.isclass(kind):
        return set(), False
    names: set[str] = set()
    is_closed = True
    for owner in inspect.getmro(kind):
        if '__init__' not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)['__init__']).parameters.values()
        names.update(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            return names - {'self'}, is_closed
        # The package's types pass the rest on to their base classes, others may pass it on to anything.
        is_closed = is_closed and owner.__module__.startswith('kmcl_mm.')
    return names - {'self'}, False
