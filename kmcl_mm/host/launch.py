"""Configurations fitted to the machine, and MMPretrain's own tools run with them."""

import errno
import gc
import logging
import traceback
from argparse import Namespace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable, Optional

import torch

from .release import INSTALL_MAINTAINED

if TYPE_CHECKING:
    from mmengine.config import Config

# Accelerators that MMEngine's launcher and mixed precision do not drive.
_DEVICES_WITHOUT_LAUNCHER = ('cpu', 'mps')
# What the user can do something about.
_DISK_ERRORS = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def fit_to_machine(cfg: 'Config') -> None:
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


def allow_no_workers(cfg: 'Config') -> None:
    """Let a data loader load in the main process.

    Fault: torch refuses ``num_workers=0`` together with ``persistent_workers``, which MMPretrain's tools switch on.

    Args:
        cfg: The configuration, an ``mmengine.Config``, changed in place.
    """
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader and loader.get('num_workers') == 0:
            loader.persistent_workers = False


def leave_out_pretrained_weights(cfg: 'Config') -> None:
    """Build the model without fetching weights for its backbone, where a checkpoint brings them all.

    Args:
        cfg: The configuration, an ``mmengine.Config``, changed in place.
    """
    backbone = cfg.model.get('backbone', {})
    for setting, without in (('pretrained', False), ('checkpoint_path', '')):
        if setting in backbone:
            backbone[setting] = without


def run_tool(name: str, load_config: Callable) -> None:
    """Run one of MMPretrain's own command-line tools, with its configuration fitted to the machine.

    Faults: MMEngine leaves the process group to the end of the process, where the threads of gloo can abort it. Its
    OneCycle schedule divides by zero where the rate rises for one step. Weights that cannot be fetched end in an error
    of the network, and folders that cannot be written to in one of the system.

    Args:
        name: Name of the tool: 'train' or 'test'. Its options come from the command line.
        load_config: What reads the configuration, :func:`kmcl_mm.config.load_config`.

    Raises:
        ImportError: The installed MMPretrain came without its tools.
        SystemExit: With what to do, for the last three of the faults.
    """
    tool = _load_tool(name)
    merge_args = tool.merge_args
    tool.Config = SimpleNamespace(fromfile=load_config)

    def merge_args_and_fit(cfg: 'Config', args: Namespace) -> 'Config':
        cfg = merge_args(load_config(cfg, args.cfg_options), args)
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
    leave_process_group()


def leave_process_group() -> None:
    """Leave the process group, if there is one, and end the threads that talk to the other processes.

    Fault: torch ends these threads with the last object that holds the group, such as a model wrapped for several
    processes in a cycle of references. One that still lets go of a tensor while Python ends aborts the process, so the
    cycles are cleared first.

    Example:
        >>> leave_process_group()  # in a process of its own there is nothing to leave
    """
    if torch.distributed.is_initialized():
        gc.collect()
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
    if isinstance(error, OSError) and error.filename and error.errno in _DISK_ERRORS:
        return (
            f'{error.filename} cannot be written or read: {error.strerror}. Take another --work-dir, make it writable, '
            'or free some space.'
        )
    if type(error).__module__.partition('.')[0] in ('huggingface_hub', 'httpx', 'requests', 'urllib'):
        return (
            f'The pretrained weights of the backbone cannot be fetched: {error}\nWithout a network give them as a '
            'file, --cfg-options model.backbone.pretrained=False model.backbone.checkpoint_path=FILE, or train from '
            'scratch with model.backbone.pretrained=False alone.'
        )
    return None


def _load_tool(name: str) -> Any:
    """The module of one of MMPretrain's tools."""
    import mmpretrain

    folder = Path(mmpretrain.__file__).parent
    for path in (folder / '.mim/tools' / f'{name}.py', folder.parent / 'tools' / f'{name}.py'):
        if path.is_file():
            module = ModuleType(f'mmpretrain_{name}')
            SourceFileLoader(module.__name__, str(path)).exec_module(module)
            return module
    raise ImportError(
        f'Expected MMPretrain in {folder} to bring its tool {name}.py under .mim/tools, but there is none. '
        f'Reinstall it:\n    {INSTALL_MAINTAINED}'
    )
