"""Refuse a training or test whose parts do not agree on the labels."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from .unwrapping import unwrap


@HOOKS.register_module()
class CheckLabelsHook(Hook):
    """Check before the first step that data sets, preprocessor and head have the same labels.

    The splits must name the same classes in the same order, each once, and ``num_classes`` of ``model.head`` and of
    ``data_preprocessor`` must be their number. Where these differ, training would fail at its first step, or worse,
    give wrong numbers without a word.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the data sets that the runner has built.

        Args:
            runner: The runner.

        Raises:
            ValueError: Classes or their number differ.
        """
        classes = classes_of_splits(runner)
        if not classes:
            return
        (first, names), *others = classes.items()
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f'Expected each class of the {first} data set once, but {twice} are there more often.')
        for split, other_names in others:
            if other_names != names:
                raise ValueError(
                    f'Expected the {split} data set to have the classes of the {first} data set in the same order, '
                    f'{names}, but got {other_names}. Give all splits the same metainfo=dict(classes=(...)).'
                )
        model = unwrap(runner.model)
        for part, owner in (('model.head', 'head'), ('data_preprocessor', 'data_preprocessor')):
            number = getattr(getattr(model, owner, None), 'num_classes', None)
            if number not in (None, len(names)):
                raise ValueError(
                    f'Expected `num_classes` of `{part}` to be {len(names)}, the number of classes of the {first} data '
                    f'set, but got {number}. Set it in the configuration or with --cfg-options {part}.num_classes='
                    f'{len(names)}.'
                )


def classes_of_splits(runner: Runner) -> dict[str, tuple[str, ...]]:
    """Find the names of the labels of the data sets.

    Args:
        runner: The runner.

    Returns:
        The names by split, of each data set that the runner has built and that knows them.
    """
    loops = dict(training=runner._train_loop, validation=runner._val_loop, test=runner._test_loop)
    classes = {}
    for split, loop in loops.items():
        if isinstance(loop, BaseLoop):
            names = getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes')
            if names is not None:
                classes[split] = tuple(names)
    return classes
