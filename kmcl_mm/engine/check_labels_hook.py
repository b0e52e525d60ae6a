"""Refuse a training or test whose parts do not agree on the labels."""

from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS
from torch.utils.data import Dataset

from ..checks import UNKNOWN
from .unwrapping import unwrap


@HOOKS.register_module()
class CheckLabelsHook(Hook):
    """Check before the first step that data sets, preprocessor, head and loss agree on the labels.

    The splits must name the same classes in the same order, each once, and ``num_classes`` of ``model.head`` and of
    ``data_preprocessor`` must be their number; and the loss must know unknown labels if there are some.
    Otherwise training would fail at its first step, or worse, give wrong numbers without a word.
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
        _check_unknown(runner)
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


def _check_unknown(runner: Runner) -> None:
    """Refuse to train on unknown labels with a loss of MMPretrain, which takes -1 for a number."""
    loss = getattr(getattr(unwrap(runner.model), 'head', None), 'loss_module', None)
    if not isinstance(runner._train_loop, BaseLoop) or not type(loss).__module__.startswith('mmpretrain.'):
        return
    if has_unknown_labels(runner.train_dataloader.dataset):
        raise ValueError(
            f'Labels of the training data are unknown (-1), which {type(loss).__name__} does not know. Use '
            "model.head.loss=dict(type='ASLLoss'), which leaves them out (gamma_neg=0, gamma_pos=0 and clip=0 make it "
            'the binary cross-entropy), or KMCLHead.'
        )


def has_unknown_labels(dataset: Dataset) -> bool:
    """Find out whether a data set marks labels of images as unknown.

    Args:
        dataset: The data set, or wrappers around it.

    Returns:
        Whether it, or one of those within, says so by ``has_unknown_labels``, or else has -1 in the ``gt_score`` of an
        image.
    """
    inner = [*getattr(dataset, 'datasets', ()), *filter(None, [getattr(dataset, 'dataset', None)])]
    if inner:
        return any(map(has_unknown_labels, inner))
    if hasattr(dataset, 'has_unknown_labels'):
        return dataset.has_unknown_labels
    if not isinstance(dataset, BaseDataset) or not len(dataset) or 'gt_score' not in dataset.get_data_info(0):
        return False
    return any(UNKNOWN in dataset.get_data_info(index).get('gt_score', ()) for index in range(len(dataset)))


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
