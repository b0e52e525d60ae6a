"""Keep the better of the raw and the averaged weights."""

from typing import Any, Dict, Optional

from mmengine.hooks import CheckpointHook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class BestWeightsHook(CheckpointHook):
    """The host's ``CheckpointHook``, whose best checkpoint holds the raw or the averaged weights, whichever are better.

    With the host's ``EMAHook(evaluate_on_ema=True, evaluate_on_origin=True)`` both are evaluated, but the host compares
    and saves the averaged ones only. Here the better metric of the two counts, and the best checkpoint's ``state_dict``
    holds the weights that reached it, alone; ``meta['weights']`` says which: 'raw' or 'ema'. The checkpoints to resume
    from are the host's. Without an ``EMAHook`` this is the host's hook.

    Args:
        save_best: Name of the metric that decides, 'auto' for the first one, or None for no best checkpoint.
        **kwargs: The host's arguments: ``interval``, ``rule``, ``max_keep_ckpts`` and so on.

    Raises:
        ValueError: ``save_best`` is not a single name.

    Source: the published recipe evaluates both and keeps the better.
    """

    def __init__(self, *args, save_best: Optional[str] = None, **kwargs) -> None:
        if not (save_best is None or isinstance(save_best, str)):
            raise ValueError(
                'Expected argument `save_best` to be the name of one metric, which decides between the raw '
                f'and the averaged weights, but got {save_best!r}.'
            )
        super().__init__(*args, save_best=save_best, **kwargs)
        self._weights_to_save: Optional[str] = None

    def before_save_checkpoint(self, runner, checkpoint: Dict[str, Any]) -> None:
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

    def _save_best_checkpoint(self, runner, metrics: Dict[str, float]) -> None:
        if self.save_best == 'auto' and 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        if self.save_best:
            key = self.key_indicators[0]
            raw = runner.message_hub.log_scalars.get(f'val/{key}_origin')
            if raw is not None:
                raw_is_better = self.is_better_than[key](raw.current(), metrics[key])
                self._weights_to_save = 'raw' if raw_is_better else 'ema'
                metrics = dict(metrics, **{key: raw.current() if raw_is_better else metrics[key]})
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self._weights_to_save = None

    def _save_checkpoint_with_step(self, *args, **kwargs) -> None:
        # The host calls this for the checkpoint to resume from, also at the end of _save_best_checkpoint.
        self._weights_to_save = None
        super()._save_checkpoint_with_step(*args, **kwargs)
