"""Keep the better of the raw and the averaged weights."""

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from ..files import atomic_write, remove_unfinished
from .pending_validation_hook import VALIDATED_KEY


@HOOKS.register_module()
class BestWeightsHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, whose best checkpoint holds the raw or the averaged weights, whichever are better.

    With MMEngine's ``EMAHook(evaluate_on_ema=True, evaluate_on_origin=True)`` both are evaluated, but MMEngine compares
    and saves the averaged ones only. Here the better metric of the two counts, and the best checkpoint's ``state_dict``
    holds the weights that reached it, alone; ``meta['weights']`` says which: 'raw' or 'ema'. The checkpoints to resume
    from are MMEngine's. Without an ``EMAHook`` the best checkpoint is MMEngine's. A test of a checkpoint that has both
    sets of weights tests both, as MMEngine does; of one that has a single set, it tests that one.

    A checkpoint, and the file ``last_checkpoint``, is written whole or not at all, and an older one is removed only
    after the newer one is on the disk; MMEngine removes it before. So there is one to go on from at any moment.

    Args:
        save_best: Name of the metric that decides, 'auto' for the first one, or None for no best checkpoint.
        **kwargs: MMEngine's arguments: ``interval``, ``rule``, ``max_keep_ckpts`` and so on.

    Raises:
        ValueError: ``save_best`` is not a single name.

    Source: the published recipe evaluates both and keeps the better.
    """

    best_ckpt_path: str | None

    def __init__(self, *args: Any, save_best: str | None = None, **kwargs: Any) -> None:
        if not (save_best is None or isinstance(save_best, str)):
            raise ValueError(
                'Expected argument `save_best` to be the name of one metric, which decides between the raw '
                f'and the averaged weights, but got {save_best!r}.'
            )
        super().__init__(*args, save_best=save_best, **kwargs)
        self._weights_to_save: str | None = None
        self._best_so_far: str | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Reduce a best checkpoint to the better weights. The ``EMAHook`` has put the averaged ones first by now.

        Args:
            runner: The runner.
            checkpoint: What is about to be saved, changed in place.
        """
        if self._weights_to_save is None:
            return
        raw_weights = checkpoint.pop('ema_state_dict')
        if self._weights_to_save == 'raw':
            checkpoint['state_dict'] = {name: raw_weights[f'module.{name}'] for name in checkpoint['state_dict']}
        checkpoint['meta'] = dict(checkpoint['meta'], weights=self._weights_to_save)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Let a test of a checkpoint with one set of weights, such as the best one, look at the images once.

        Args:
            runner: The runner.
            checkpoint: The checkpoint that was loaded.
        """
        if isinstance(runner._train_loop, BaseLoop) or 'ema_state_dict' in checkpoint:
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.evaluate_on_origin = False

    def before_train(self, runner: Runner) -> None:
        """Go on with the last checkpoint; remove what a killed training was writing or had no time to remove.

        Args:
            runner: The runner.
        """
        super().before_train(runner)
        if runner._resume:
            # MMEngine writes a new best score into the last checkpoint, if it knows of one.
            self.last_ckpt = self._own(runner.message_hub.runtime_info.get('last_ckpt'))
            self._take_over_best(runner)
        if is_main_process():
            for folder in {str(runner.work_dir), str(self.out_dir)}:
                remove_unfinished(folder)

    def _own(self, path: str | None) -> str | None:
        """The file of this name in the training's own folder, if there is one: a checkpoint may come from elsewhere."""
        own = path and self.file_backend.join_path(self.out_dir, Path(path).name)
        return own if own and (self.file_backend.isfile(own) or self.file_backend.isdir(own)) else None

    def _take_over_best(self, runner: Runner) -> None:
        """Go on with the best checkpoint so far, if it is this training's and the metric is still the same."""
        # MMEngine's hook has no `best_ckpt_path` where no best checkpoint is kept.
        former = self.best_ckpt_path if self.save_best else None
        if former is None:
            return
        self.best_ckpt_path = self._own(former)
        metric = self.key_indicators[0]
        is_of_metric = metric == 'auto' or Path(former).name.startswith(f'best_{metric}_'.replace('/', '_'))
        if self.best_ckpt_path is None or not is_of_metric:
            reason = 'is of another metric' if self.best_ckpt_path else f'is not in {self.out_dir}'
            runner.logger.warning(f'The best checkpoint so far, {former}, {reason}: the best from here on is kept.')
            self.best_ckpt_path = None
            for name in ('best_score', 'best_ckpt'):
                runner.message_hub.pop_info(name, None)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the best weights, and that this epoch has been validated.

        Args:
            runner: The runner.
            metrics: The metrics by name.
        """
        runner.message_hub.update_info(VALIDATED_KEY, runner.epoch)
        super().after_val_epoch(runner, metrics)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        if not self.save_best:
            return
        if 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        key = self.key_indicators[0]
        raw = runner.message_hub.log_scalars.get(f'val/{key}_origin')
        if raw is not None:
            raw_is_better = self.is_better_than[key](raw.current(), metrics[key])
            self._weights_to_save = 'raw' if raw_is_better else 'ema'
            metrics = dict(metrics, **{key: raw.current() if raw_is_better else metrics[key]})
        # MMEngine would remove the best checkpoint so far before it writes the new one.
        self._best_so_far, self.best_ckpt_path = self.best_ckpt_path, None
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self._weights_to_save = None
        # Not where writing failed: then the former one is the best there is.
        self._remove_former_best()

    def _remove_former_best(self) -> None:
        """Remove the best checkpoint of before if there is a better one by now; keep it as the best if not."""
        former, self._best_so_far = self._best_so_far, None
        if self.best_ckpt_path is None:
            self.best_ckpt_path = former
        elif former not in (None, self.best_ckpt_path):
            self._remove(former)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        # MMEngine calls this for the checkpoint to resume from, also at the end of _save_best_checkpoint.
        self._weights_to_save = None
        if self._best_so_far is not None:
            # Once this checkpoint is written, none knows the former best one.
            self._remove_former_best()
        kept = list(self.keep_ckpt_ids) if self.max_keep_ckpts > 0 else []
        present = kept if step in kept else [*kept, step]
        if self.max_keep_ckpts > 0:
            # All that are there when this one is written: if the process is killed before it removes the oldest, the
            # resumed one does, as MMEngine looks at these numbers.
            runner.message_hub.update_info('keep_ckpt_ids', present)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            with atomic_write(Path(runner.work_dir, 'last_checkpoint')) as unfinished:
                unfinished.write_text(self.last_ckpt, encoding='utf-8')
        if self.max_keep_ckpts > 0:
            for outdated in present[: -self.max_keep_ckpts]:
                self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(outdated)))
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(present[-self.max_keep_ckpts :])

    @master_only
    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            # What DeepSpeed writes.
            self.file_backend.rmtree(path)
