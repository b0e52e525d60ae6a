"""MMEngine's runner with safe checkpoints, on GPUs or without one."""

import atexit
import copy
import gc
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process, master_only
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OneCycleLR, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, RUNNERS
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ..datasets.wrappers import check_nesting
from ..files import atomic_write
from .channels import check_channels
from .check_labels_hook import classes_of_splits
from .checkpoint import damage_message, has_damage, load_checkpoint
from .checkpoint_labels import check_same_labels, classes_in
from .fine_tuning import start_from
from .load_weights import check_fit, tensors_for
from .resuming import prepare_to_resume
from .unwrapping import unwrap
from .whole_checkpoints import newest_whole_checkpoint

# Devices that MMEngine's launcher, model wrapper and mixed precision do not drive.
_DEVICES_WITHOUT_LAUNCHER = ('cpu', 'mps')
# MMEngine's launchers, by the variable in which each finds the number of processes.
_LAUNCHERS = dict(WORLD_SIZE='pytorch', SLURM_STEP_NUM_TASKS='slurm', OMPI_COMM_WORLD_SIZE='mpi')


@RUNNERS.register_module()
class KMCLRunner(Runner):
    """MMEngine's ``Runner``, for ``runner_type = 'KMCLRunner'`` in a configuration.

    What it adds, to its own trainings and tests only:

    - Checkpoints are loaded without running code from them (:func:`kmcl_mm.engine.checkpoint.load_checkpoint`), and
      written whole or not at all. ``resume=True`` goes on from the newest one that is whole.
    - Without a GPU several processes talk by gloo, and mixed precision is left out, with a warning. The group of these
      processes is left before Python ends: threads of gloo that outlive it can abort the process.
    - ``channels_last = True`` in the configuration lays the weights of convolutions out channels last before the model
      is wrapped; their feature maps follow. The numbers are the same but for rounding. Depthwise convolutions are
      faster so on a CPU, and mixed precision is on a GPU.
    - ``compile = True``, or a dict of ``torch.compile``'s options, compiles the backbone.
    - ``num_workers=0`` and ``persistent_workers`` go together.
    - Several processes without ``--launcher`` are refused.

    Args:
        *args: MMEngine's arguments.
        **kwargs: MMEngine's arguments.

    Raises:
        ValueError: A launcher other than 'none' and 'pytorch' without a GPU; a training too short for its schedule; or
            a checkpoint that is damaged or could run code.
        ConnectionError: Pretrained weights of the backbone cannot be fetched.
    """

    # The checkpoint whose checksums have been compared with its content.
    _whole_checkpoint: str | None = None
    _is_resuming = False

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes and their group.

        Args:
            env_cfg: ``cudnn_benchmark``, ``mp_cfg``, ``dist_cfg`` and so on, as MMEngine takes them.

        Raises:
            ValueError: A launcher other than 'none' and 'pytorch' without a GPU, or none for several processes.
        """
        for variable, launcher in _LAUNCHERS.items():
            processes = int(os.environ.get(variable) or 1)
            if not self.distributed and processes > 1:
                raise ValueError(
                    f'{processes} processes were started, but with --launcher none each would run alone and write the '
                    f'same files. Add --launcher {launcher}; or unset {variable} if each has a run of its own.'
                )
        without_launcher = get_device() in _DEVICES_WITHOUT_LAUNCHER
        if self.distributed and without_launcher and not torch.distributed.is_initialized():
            if self.launcher != 'pytorch':
                raise ValueError(f'Without a GPU --launcher must be none or pytorch, but got {self.launcher}.')
            seconds = env_cfg.get('dist_cfg', {}).get('timeout')
            torch.distributed.init_process_group('gloo', timeout=seconds and timedelta(seconds=seconds))
            # Not on GPUs: where one process has failed, leaving a group of NCCL would wait for the others.
            atexit.register(leave_process_group)
        super().setup_env(env_cfg)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model.

        Args:
            model: The model or its configuration.

        Returns:
            The model.

        Raises:
            ConnectionError: Pretrained weights of the backbone cannot be fetched.
            ValueError: The head has another number of channels than the backbone.
        """
        try:
            built = super().build_model(model)
        except Exception as error:
            if type(error).__module__.partition('.')[0] not in ('huggingface_hub', 'httpx', 'requests', 'urllib'):
                raise
            raise ConnectionError(
                f'The pretrained weights of the backbone cannot be fetched: {error}\nWithout a network give them as a '
                'file, --cfg-options model.backbone.pretrained=False model.backbone.checkpoint_path=FILE, or train '
                'from scratch with model.backbone.pretrained=False alone.'
            ) from error
        check_channels(unwrap(built))
        return built

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Lay the model out and, in a distributed training, wrap it.

        Args:
            model_wrapper_cfg: The wrapper's configuration, or None for MMEngine's default.
            model: The model.

        Returns:
            The model, wrapped where there are several processes.
        """
        if self.cfg.get('channels_last'):
            model.to(memory_format=torch.channels_last)
        if self.distributed and not is_model_wrapper(model) and get_device() in _DEVICES_WITHOUT_LAUNCHER:
            # MMEngine's default names a GPU.
            if model_wrapper_cfg is None:
                find_unused = self.cfg.get('find_unused_parameters', False)
                model_wrapper_cfg = dict(broadcast_buffers=False, find_unused_parameters=find_unused)
            model_wrapper_cfg = dict(model_wrapper_cfg, device_ids=None)
        return super().wrap_model(model_wrapper_cfg, model)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build the optimizer wrapper, without mixed precision where there is no GPU.

        Args:
            optim_wrapper: The wrapper or its configuration.

        Returns:
            The wrapper.
        """
        if isinstance(optim_wrapper, dict) and get_device() in _DEVICES_WITHOUT_LAUNCHER:
            kind = optim_wrapper.get('type', 'OptimWrapper')
            kind = OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind
            if kind is AmpOptimWrapper:
                self.logger.warning('There is no GPU: training without mixed precision.')
                amp_settings = ('loss_scale', 'dtype', 'use_fsdp')
                optim_wrapper = {key: value for key, value in optim_wrapper.items() if key not in amp_settings}
                optim_wrapper['type'] = OptimWrapper
        return super().build_optim_wrapper(optim_wrapper)

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rate with the batch size.

        Args:
            optim_wrapper: The optimizer's wrapper.
            auto_scale_lr: ``enable``, and ``base_batch_size``, the images that the rate is meant for.

        Raises:
            ValueError: ``base_batch_size`` is missing.
        """
        if auto_scale_lr and auto_scale_lr.get('enable') and 'base_batch_size' not in auto_scale_lr:
            raise ValueError(
                'The configuration does not say for how many images in a step its learning rate is meant. Set '
                'auto_scale_lr.base_batch_size.'
            )
        super().scale_lr(optim_wrapper, auto_scale_lr)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the schedules.

        Args:
            scheduler: Their configurations.

        Returns:
            The schedules.

        Raises:
            ValueError: The training has too few steps for OneCycle, or MMEngine's would undo the rates of groups.
        """
        optimizer: Any = getattr(self.optim_wrapper, 'optimizer', None)
        groups = optimizer.param_groups if isinstance(optimizer, Optimizer) else []
        # Not when MMEngine comes back to resume, with schedules that are built and have changed the rates.
        is_first = all(isinstance(part, dict) for part in (scheduler if isinstance(scheduler, list) else [scheduler]))
        has_own_rates = is_first and any(group['lr'] != optimizer.defaults['lr'] for group in groups)
        try:
            schedules = super().build_param_scheduler(scheduler)
        except ZeroDivisionError as error:
            raise ValueError(
                'The training is too short: the learning rate would rise for a single step. Train for more epochs '
                '(train_cfg.max_epochs and param_scheduler.end), with a smaller train_dataloader.batch_size, or with '
                'another param_scheduler.pct_start.'
            ) from error
        if has_own_rates and any(type(schedule) is OneCycleLR for schedule in schedules):
            raise ValueError(
                'OneCycleLR sets one rate for all parameters, so that lr_mult and --auto-scale-lr have no effect. Use '
                'param_scheduler.type=OneCycleByGroupLR, or leave them out.'
            )
        return schedules

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False) -> Any:
        """Build a data loader. torch refuses ``persistent_workers`` without workers, so they are left out then.

        Args:
            dataloader: The loader or its configuration.
            seed: Seed of its workers.
            diff_rank_seed: Whether each process has a seed of its own.

        Returns:
            The loader.

        Raises:
            ValueError: Wrappers around the data set that do not fit each other.
        """
        if isinstance(dataloader, dict) and isinstance(dataloader.get('dataset'), dict):
            check_nesting(dataloader['dataset'])
        if isinstance(dataloader, dict) and not dataloader.get('num_workers'):
            dataloader = copy.deepcopy(dataloader)
            dataloader['persistent_workers'] = False
        return Runner.build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed)

    def _maybe_compile(self, target: str) -> None:
        """Compile the backbone; MMEngine compiles whole steps, which fails in the optimizer's."""
        settings = self.cfg.get('compile')
        if settings:
            model = unwrap(self.model)
            getattr(model, 'backbone', model).compile(**({} if settings is True else settings))
            self.logger.info('The backbone will be compiled in the first iterations, which are slow.')

    def load_or_resume(self) -> None:
        """Load or resume, from the newest whole checkpoint where none is named.

        Raises:
            ValueError: The work dir has checkpoints, but none is whole.
        """
        if self._has_loaded or not self._resume or self._load_from is not None:
            super().load_or_resume()
        else:
            path, broken = _from_main_process(newest_whole_checkpoint, self.work_dir, self._checkpoint_folder())
            if path is None and broken:
                raise ValueError(
                    f'No checkpoint in {self.work_dir} can be read: {", ".join(broken)}. Copy one from elsewhere, or '
                    'remove them to start from the beginning.'
                )
            for name in broken:
                self.logger.error(f'The checkpoint {name} is corrupt. Resuming from {path} instead.')
            if path is None:
                self.logger.info(f'There is no checkpoint in {self.work_dir} yet: starting from the beginning.')
                return
            self.logger.info(f'Resuming from the newest checkpoint {path}.')
            self._whole_checkpoint = path
            self.resume(path)

    def _checkpoint_folder(self) -> str:
        """Where the training's checkpoints are, as MMEngine's hook will find out."""
        for hook in self.hooks:
            if isinstance(hook, CheckpointHook) and hook.out_dir not in (None, self.work_dir):
                backend = get_file_backend(hook.out_dir, backend_args=hook.backend_args)
                return backend.join_path(hook.out_dir, Path(self.work_dir).name)
        return self.work_dir

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on with the training of a checkpoint.

        Args:
            filename: A file or an address.
            *args: MMEngine's arguments.
            **kwargs: MMEngine's arguments.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged, could run code, is of another model or other labels, or holds no state of a
                training; or its settings are not the configuration's and ``resume_schedule`` does not say which count.
        """
        self._is_resuming = True
        super().resume(filename, *args, **kwargs)

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', *args: Any, **kwargs: Any) -> dict:
        """Load a checkpoint into the model without running code from it.

        A training may start from a checkpoint of other labels: the head's rows of the labels that both have are taken
        over, and the log says which.

        Args:
            filename: A file or an address: of this package, or in the names of the published code, of ASL or of MIIL.
            map_location: As in ``torch.load``.
            *args: MMEngine's ``strict`` and ``revise_keys``, without effect: prefixes of wrappers are always taken
                off, and what fits nowhere is always refused.
            **kwargs: The same.

        Returns:
            The checkpoint, with ``state_dict`` as it was loaded.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged, could run code, or is of another model; in a test it is of other labels.
        """
        if filename != self._whole_checkpoint and _from_main_process(has_damage, filename):
            raise ValueError(damage_message(filename))
        content = load_checkpoint(filename, map_location, check_damage=False)
        model, expected = unwrap(self.model), unwrap(self.model).state_dict()
        classes = next(iter(classes_of_splits(self).values()), None)
        tensors = tensors_for(model, content, filename)
        checkpoint = {name: value for name, value in content.items() if not isinstance(value, torch.Tensor)}
        is_start = isinstance(self._train_loop, BaseLoop) and not self._is_resuming
        if is_start:
            tensors, summary = start_from(model, tensors, classes_in(content, filename), classes)
            self.logger.info(f'Starting from {filename}' + (f': {summary}.' if summary else '.'))
            # The averages begin with the same weights, counted from the first step.
            checkpoint.pop('ema_state_dict', None)
        else:
            check_same_labels(content, filename, classes)
        check_fit(tensors, expected, filename, needs_head=not is_start)
        checkpoint['state_dict'] = tensors
        if self._is_resuming:
            prepare_to_resume(self, checkpoint, filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model.load_state_dict(checkpoint['state_dict'], strict=False)
        self._has_loaded = True
        self.logger.info(f'Loaded checkpoint {filename}')
        return checkpoint

    @master_only
    def save_checkpoint(
        self, out_dir: str, filename: str, file_client_args: dict | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Save a checkpoint; a local file is there whole or not at all.

        Args:
            out_dir: The folder.
            filename: Its name.
            file_client_args: The older form of ``backend_args``.
            *args: MMEngine's arguments.
            **kwargs: MMEngine's arguments.
        """
        backend_args = kwargs.get('backend_args')
        is_elsewhere = '://' in str(out_dir) or file_client_args is not None
        if is_elsewhere or not isinstance(get_file_backend(out_dir, backend_args=backend_args), LocalBackend):
            super().save_checkpoint(out_dir, filename, file_client_args, *args, **kwargs)
            return
        with atomic_write(Path(out_dir, filename)) as unfinished:
            super().save_checkpoint(str(unfinished.parent), unfinished.name, None, *args, **kwargs)


def leave_process_group() -> None:
    """Leave the process group, if there is one, and end the threads that talk to the other processes.

    torch ends these threads with the last object that holds the group, such as a model wrapped for several processes in
    a cycle of references. One that still lets go of a tensor while Python ends aborts the process, so the cycles are
    cleared first.

    Example:
        >>> leave_process_group()  # in a process of its own there is nothing to leave
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.destroy_process_group()


def _from_main_process(function: Any, *arguments: Any) -> Any:
    """The result of a function that only the first process calls."""
    answer = [function(*arguments)] if is_main_process() else [None]
    broadcast_object_list(answer)
    return answer[0]
