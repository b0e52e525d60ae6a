"""The host: MMEngine, MMCV and MMPretrain, whichever family and release of them is installed.

No other file knows that there are two families. Every work-around stands here, under the fault that it answers.
"""

import contextlib
import importlib
import importlib.util
import io
import logging
import os
import pickle
import re
import traceback
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch
from packaging.version import Version

# Import name -> (distributions that provide it, lowest release), for the originals and for the maintained family.
_ORIGINAL = dict(
    mmengine=(('mmengine', 'mmengine-lite'), '0.10.7'),
    mmcv=(('mmcv', 'mmcv-lite'), '2.0.0'),
    mmpretrain=(('mmpretrain',), '1.2.0'),
)
_MAINTAINED = dict(
    mmengine=(('onedl-mmengine',), '0.10.12'),
    mmcv=(('onedl-mmcv',), '2.3.5'),
    mmpretrain=(('onedl-mmpretrain',), '1.3.6'),
)
_INSTALL_ORIGINAL = 'pip install --upgrade mmengine==0.10.7 mmcv-lite==2.2.0 mmpretrain==1.2.0'
_MAINTAINED_REQUIREMENTS = '"onedl-mmengine>=0.10.12" "onedl-mmcv>=2.3.5" "onedl-mmpretrain>=1.3.6"'
_INSTALL_MAINTAINED = f'pip install --upgrade {_MAINTAINED_REQUIREMENTS}'

# Accelerators that MMEngine's launcher and mixed precision do not drive.
_DEVICES_WITHOUT_LAUNCHER = ('cpu', 'mps')


def check() -> None:
    """Check that one family of the host is installed, whole and recent enough.

    Raises:
        ImportError: A package is missing, too old, or both families are mixed. The message holds the command that
            mends it.
    """
    original, maintained = _installed(_ORIGINAL), _installed(_MAINTAINED)
    if original and maintained:
        names = ' '.join(sorted(distribution for _, distribution, _ in (*original, *maintained)))
        raise ImportError(
            f'kmcl_mm found packages of two families that overwrite each other: {names}. Keep one:\n'
            f'    pip uninstall -y {names}\n    {_INSTALL_MAINTAINED}'
        )
    family, installed, command = (
        (_ORIGINAL, original, _INSTALL_ORIGINAL) if original else (_MAINTAINED, maintained, _INSTALL_MAINTAINED)
    )
    missing = [name for name in family if name not in {found for found, _, _ in installed}]
    if missing:
        raise ImportError(
            f'kmcl_mm needs mmengine, mmcv and mmpretrain; not installed: {", ".join(missing)}. '
            f'Install them:\n    {command}'
        )
    for name, distribution, version in installed:
        lowest = family[name][1]
        if Version(version) < Version(lowest):
            raise ImportError(
                f'kmcl_mm needs {distribution} {lowest} or later, but {version} is installed. Upgrade:\n    {command}'
            )


def _installed(family: Dict) -> List[Tuple[str, str, str]]:
    """Import name, distribution and version of what is installed of a family."""
    found = []
    for name, (distributions, _) in family.items():
        for distribution in distributions:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found.append((name, distribution, metadata.version(distribution)))
    return found


def import_quietly() -> None:
    """Import the host without its remarks about optional parts that nothing here uses.

    Faults: MMCV without compiled operators (mmcv-lite and the maintained family's wheel) warns of one at each import,
    and the maintained MMPretrain prints that an optional package is missing.
    """
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module('mmpretrain.datasets')


def leave_out_broken_multimodal_models() -> None:
    """Keep MMPretrain importable beside transformers 5.

    Fault: with pycocotools and any transformers from 4.28 on, ``mmpretrain.models`` imports its vision-language models,
    and these fail at import with transformers 5. They are registered as placeholders instead, as MMPretrain does where
    transformers is missing.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        if Version(metadata.version('transformers')) >= Version('5'):
            from mmpretrain.utils import dependency

            dependency.WITH_MULTIMODAL = False


def average_precision_of_unknown_labels() -> None:
    """Let the host's average precision go on where a label is unknown (-1) in all images.

    Fault: it takes the last element of an empty tensor. The label counts as 0 instead, as the host has it for a label
    that no image has.
    """
    from mmpretrain.evaluation.metrics import multi_label

    average_precision = multi_label._average_precision
    if getattr(average_precision, 'allows_unknown_labels', False):
        return

    def average_precision_or_zero(pred, target):
        return average_precision(pred, target) if (target > -1).any() else pred.new_zeros(())

    average_precision_or_zero.allows_unknown_labels = True
    multi_label._average_precision = average_precision_or_zero


def load_checkpoints_safely() -> None:
    """Let MMEngine load checkpoints without running code from them.

    Fault: the originals cannot resume with torch 2.6 or later, whose ``weights_only`` refuses the training state in
    the checkpoint; the maintained family then falls back to unpickling whatever the file says. Here ``weights_only``
    stays on wherever MMEngine loads from, and only the few classes of the training state are named as safe.
    """
    from mmengine.runner import checkpoint
    from mmengine.runner.checkpoint import CheckpointLoader

    if hasattr(CheckpointLoader, 'load_without_running_code'):
        return
    load = CheckpointLoader.load_checkpoint

    def load_without_running_code(filename, map_location=None, logger='current'):
        with _only_safe_classes():
            try:
                return load(filename, map_location, logger)
            except pickle.UnpicklingError as error:
                raise ValueError(
                    f'Expected the checkpoint {filename} to hold tensors, plain containers and the training state '
                    f'only, but it {_what_was_refused(error)}. It was not loaded. Use a checkpoint that holds a '
                    'state_dict, from a source you trust.'
                ) from None
            except (EOFError, OSError, RuntimeError) as error:
                if isinstance(error, PermissionError) or not os.path.isfile(os.path.expanduser(filename)):
                    raise
                raise ValueError(
                    f'Expected {filename} to be a whole checkpoint, but it cannot be read: {error}\nIt may '
                    'be truncated: use an earlier checkpoint, or copy it again.'
                ) from error

    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = torch.load
    CheckpointLoader.load_checkpoint = CheckpointLoader.load_without_running_code = staticmethod(
        load_without_running_code
    )


def _what_was_refused(error: pickle.UnpicklingError) -> str:
    """The name in torch's message, the rest of which advises to load such a file all the same."""
    name = re.search(r'GLOBAL ([\w.]+)|asks for (.+)', str(error))
    if name is None:
        return 'is no such checkpoint, or holds something that could run code'
    return f'asks for {name[1] or name[2]}, which could run code'


@contextlib.contextmanager
def _only_safe_classes() -> Iterator[None]:
    """Make every ``torch.load`` within refuse all but tensors, containers and what the training state needs."""
    switch = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
    before = os.environ.get(switch)
    os.environ[switch] = '1'
    try:
        with torch.serialization.safe_globals(_state_classes()):
            yield
    finally:
        del os.environ[switch]
        if before is not None:
            os.environ[switch] = before


def _state_classes() -> List:
    """What MMEngine's training state is made of beside tensors: its log, its schedule, and numpy's arrays and numbers.

    Log and schedule name methods of their own through ``getattr``, which could reach anything: a stand-in reaches those
    methods only.
    """
    array, number = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ('bool', 'int32', 'int64', 'float32', 'float64')]
    # Checkpoints have numpy's names of before and since release 2.
    named = [
        (function, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')
        for function, name in ((array, '_reconstruct'), (number, 'scalar'))
    ]
    named += [(_known_method, f'{module}.getattr') for module in ('builtins', '__builtin__')]
    return [np.ndarray, np.dtype, *kinds, *_methods_in_state(), *named]


def _methods_in_state() -> Dict[type, Tuple[str, ...]]:
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    return {
        HistoryBuffer: ('min', 'max', 'mean', 'current'),
        OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
    }


def _known_method(owner: type, name: str) -> Callable:
    names = next((names for known, names in _methods_in_state().items() if known is owner), ())
    if name not in names:
        raise pickle.UnpicklingError(f'asks for the attribute {name!r} of {owner!r}')
    return getattr(owner, name)


def fit_to_machine(cfg) -> None:
    """Let a configuration written for GPUs run where there is none; leave it as it is where there is one.

    Faults: MMEngine's launcher selects a CUDA device before anything else, its wrapper names one to torch, and its
    mixed precision refuses to be built without one. So the gloo group is set up here before MMEngine looks for it, the
    model is wrapped without device ids, and mixed precision is left out, with a warning.

    Args:
        cfg: The configuration, an ``mmengine.Config``, changed in place.

    Raises:
        ValueError: Without a GPU, a launcher other than 'none' and 'pytorch'.
    """
    from mmengine.device import get_device
    from mmengine.logging import print_log

    if get_device() not in _DEVICES_WITHOUT_LAUNCHER:
        return
    if cfg.get('optim_wrapper') and cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'OptimWrapper'
        for setting in ('loss_scale', 'dtype', 'use_fsdp'):
            cfg.optim_wrapper.pop(setting, None)
        print_log('There is no GPU: training without mixed precision.', logger='current', level=logging.WARNING)
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    if launcher != 'pytorch':
        raise ValueError(f'Expected --launcher to be none or pytorch where there is no GPU, but got {launcher}.')
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    cfg.setdefault('model_wrapper_cfg', dict(type='MMDistributedDataParallel', broadcast_buffers=False))
    cfg.model_wrapper_cfg.device_ids = None


def allow_no_workers(cfg) -> None:
    """Let a data loader load in the main process.

    Fault: torch refuses ``num_workers=0`` together with ``persistent_workers``, which MMPretrain's tools switch on.

    Args:
        cfg: The configuration, an ``mmengine.Config``, changed in place.
    """
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader and loader.get('num_workers') == 0:
            loader.persistent_workers = False


def leave_out_pretrained_weights(cfg) -> None:
    """Build the model without fetching weights for its backbone, where a checkpoint brings them all.

    Args:
        cfg: The configuration, an ``mmengine.Config``, changed in place.
    """
    backbone = cfg.model.get('backbone', {})
    for setting, without in (('pretrained', False), ('checkpoint_path', '')):
        if setting in backbone:
            backbone[setting] = without


def run_tool(name: str) -> None:
    """Run one of MMPretrain's own command-line tools, with its configuration fitted to the machine.

    Faults: MMEngine leaves the process group to the end of the process, where the threads of gloo can abort it. Its
    OneCycle schedule divides by zero where the rate rises for one step. Weights that cannot be fetched end in an error
    of the network.

    Args:
        name: Name of the tool: 'train' or 'test'. Its options come from the command line.

    Raises:
        ImportError: The installed MMPretrain came without its tools.
        SystemExit: With what to do, for the last two of the faults.
    """
    tool = _load_tool(name)
    merge_args = tool.merge_args

    def merge_args_and_fit(cfg, args):
        cfg = merge_args(cfg, args)
        fit_to_machine(cfg)
        allow_no_workers(cfg)
        if name == 'test':
            leave_out_pretrained_weights(cfg)
        return cfg

    tool.merge_args = merge_args_and_fit
    try:
        tool.main()
    except Exception as error:
        explanation = _explain(error)
        if explanation is None:
            raise
        raise SystemExit(explanation) from error
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _explain(error: Exception) -> Optional[str]:
    """What to do about an error that does not say it."""
    *_, last_frame = traceback.extract_tb(error.__traceback__)
    if isinstance(error, ZeroDivisionError) and Path(last_frame.filename).name == 'param_scheduler.py':
        return (
            'The training is too short: the learning rate would rise for a single step. Train for more epochs '
            '(train_cfg.max_epochs and param_scheduler.end), with a smaller train_dataloader.batch_size, or with '
            'another param_scheduler.pct_start.'
        )
    if type(error).__module__.partition('.')[0] in ('huggingface_hub', 'httpx', 'requests', 'urllib'):
        return (
            f'The pretrained weights of the backbone cannot be fetched: {error}\nWithout a network give them as a '
            'file, --cfg-options model.backbone.pretrained=False model.backbone.checkpoint_path=FILE, or train from '
            'scratch with model.backbone.pretrained=False alone.'
        )
    return None


def _load_tool(name: str) -> ModuleType:
    folder = Path(importlib.util.find_spec('mmpretrain').origin).parent
    for path in (folder / '.mim/tools' / f'{name}.py', folder.parent / 'tools' / f'{name}.py'):
        if path.is_file():
            spec = importlib.util.spec_from_file_location(f'mmpretrain_{name}', path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ImportError(
        f'Expected MMPretrain in {folder} to bring its tool {name}.py under .mim/tools, but there is none. '
        f'Reinstall it:\n    {_INSTALL_MAINTAINED}'
    )
