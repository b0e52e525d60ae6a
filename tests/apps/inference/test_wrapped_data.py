"""Data sets in wrappers as the test and training data of the tools: prepared as the data set within would be."""

import copy
import runpy
import sys

import numpy as np
import pytest
from mmengine.config import Config

from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.inference.export import metadata_of
from kmcl_mm.apps.inference.indexing import build_index
from kmcl_mm.apps.inference.similar import fingerprint_of
from tests.apps.inference.conftest import LABELS
from tests.conftest import ROOT


def concat(dataset):
    return dict(type='ConcatDataset', datasets=[dataset, dict(type='RepeatDataset', times=2, dataset=dataset)])


def balanced(dataset):
    return dict(type='ClassBalancedMultiLabel', oversample_thr=0.9, dataset=concat(dataset))


def folds(dataset):
    return dict(type='ConcatDataset', datasets=[dict(type='KFoldDataset', num_splits=3, dataset=dataset)])


def wrapped(cfg, wrap, *splits):
    cfg = copy.deepcopy(cfg)
    for split in splits:
        cfg[f'{split}_dataloader'].dataset = wrap(cfg[f'{split}_dataloader'].dataset.to_dict())
    return cfg


@pytest.mark.parametrize('wrap', [concat, balanced, folds])
def test_a_wrapper_changes_nothing_for_prediction_and_export(small_cfg, save_checkpoint, folder, wrap):
    checkpoint = save_checkpoint()
    plain, other = (KMCLInferencer(cfg, checkpoint) for cfg in (small_cfg, wrapped(small_cfg, wrap, 'test')))
    expected, found = (inferencer(folder, with_progress=False).images for inferencer in (plain, other))
    assert len(found) == 4
    np.testing.assert_array_equal([image.scores for image in found], [image.scores for image in expected])
    assert metadata_of(other.model, other.config, LABELS) == metadata_of(plain.model, plain.config, LABELS)
    assert fingerprint_of(other.model.head, other.config) == fingerprint_of(plain.model.head, plain.config)


@pytest.mark.parametrize('wrap, number', [(concat, 2 * 11), (balanced, 2 * 11), (folds, 7)])
def test_the_index_has_each_training_image_once_per_data_set(training_cfg, save_checkpoint, wrap, number):
    """One of the twelve images cannot be read; the folds for training have the last eight."""
    index, skipped = build_index(KMCLInferencer(wrapped(training_cfg, wrap, 'train', 'test'), save_checkpoint()))
    assert (
        len(index) == number
        and {image.reason for image in skipped}
        and set(index.names) <= {f'{place:02d}.jpg' for place in range(12)}
    )


def test_other_labels_or_several_pipelines_are_refused(small_cfg, save_checkpoint):
    cfg = wrapped(small_cfg, concat, 'test')
    cfg.test_dataloader.dataset.datasets[0].pipeline[1].scale = (96, 96)
    with pytest.raises(ValueError, match='2 data sets in test_dataloader.dataset have different pipelines'):
        KMCLInferencer(cfg, save_checkpoint())
    cfg = wrapped(small_cfg, concat, 'test')
    cfg.test_dataloader.dataset.datasets[0].metainfo.classes = LABELS[::-1]
    with pytest.raises(ValueError, match='are not those of the configuration'):
        KMCLInferencer(cfg, save_checkpoint())


@pytest.mark.parametrize('wrap', [concat, balanced, folds])
def test_samples_are_drawn(training_cfg, tmp_path, monkeypatch, capsys, wrap):
    cfg = copy.deepcopy(training_cfg)
    # Only images that can be read.
    cfg.train_dataloader.dataset.indices = 5
    wrapped(cfg, wrap, 'train').dump(tmp_path / 'small.py')
    arguments = [tmp_path / 'small.py', '--out', tmp_path / 'samples.png', '--num-images', 3]
    monkeypatch.setattr(sys, 'argv', ['browse_dataset.py', *map(str, arguments)])
    runpy.run_path(str(ROOT / 'tools/browse_dataset.py'), run_name='__main__')
    assert 'Picture of 3 train samples' in capsys.readouterr().out


@pytest.mark.parametrize('wrap', [concat, folds])
def test_views_are_put_into_the_data_sets_within(small_cfg, wrap):
    use_views = runpy.run_path(str(ROOT / 'tools/test.py'))['use_views']
    cfg = wrapped(small_cfg, wrap, 'test')
    use_views(cfg)
    inner = Config(dict(part=cfg.test_dataloader.dataset.datasets[0])).part
    inner = inner.get('dataset', inner)
    assert [transform.type for transform in inner.pipeline] == ['LoadCheckedImage', 'Resize', 'TestTimeAug']
