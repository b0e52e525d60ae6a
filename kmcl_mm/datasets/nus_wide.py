"""NUS-WIDE in the split of the asymmetric loss's authors."""

from typing import Any

from mmpretrain.registry import DATASETS

from .table_multilabel import TableMultiLabel

# fmt: off
NUS_WIDE_CLASSES = (
    'airport', 'animal', 'beach', 'bear', 'birds', 'boats', 'book', 'bridge', 'buildings', 'cars', 'castle', 'cat',
    'cityscape', 'clouds', 'computer', 'coral', 'cow', 'dancing', 'dog', 'earthquake', 'elk', 'fire', 'fish', 'flags',
    'flowers', 'food', 'fox', 'frost', 'garden', 'glacier', 'grass', 'harbor', 'horses', 'house', 'lake', 'leaf', 'map',
    'military', 'moon', 'mountain', 'nighttime', 'ocean', 'person', 'plane', 'plants', 'police', 'protest', 'railroad',
    'rainbow', 'reflection', 'road', 'rocks', 'running', 'sand', 'sign', 'sky', 'snow', 'soccer', 'sports', 'statue',
    'street', 'sun', 'sunset', 'surf', 'swimmers', 'tattoo', 'temple', 'tiger', 'tower', 'town', 'toy', 'train', 'tree',
    'valley', 'vehicle', 'water', 'waterfall', 'wedding', 'whales', 'window', 'zebra')
# fmt: on


@DATASETS.register_module()
class NUSWide(TableMultiLabel):
    """NUS-WIDE: photos with 81 concepts, from one table of file, label names and split.

    The table is ``nus_wid_data.csv`` of the asymmetric loss's authors, with the columns ``filepath``, ``label`` (such
    as ``['clouds', 'sky']``) and ``split_name``.

    Args:
        data_root: Folder that the table and the paths in it are relative to.
        split: 'train' or 'val'.
        ann_file: The table.
        data_prefix: Folder that the paths in the table are relative to.
        **kwargs: As in :class:`kmcl_mm.datasets.TableMultiLabel`.

    Raises:
        FileNotFoundError: The table or an image is missing.
        ValueError: There is no such split, or the table has other columns or labels.

    Source: T.-S. Chua et al., NUS-WIDE (CIVR 2009); the table is of arXiv:2009.14119.
    """

    METAINFO = dict(classes=NUS_WIDE_CLASSES)

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        ann_file: str = 'nus_wid_data.csv',
        data_prefix: str | dict = '',
        **kwargs: Any,
    ) -> None:
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix,
            image_column='filepath',
            label_column='label',
            separator=',',
            split_column='split_name',
            split=split,
            **kwargs,
        )
