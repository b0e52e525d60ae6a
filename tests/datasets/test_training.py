"""A short training on each data set's layout, with its configuration and a smaller network."""

import json

import pytest

import kmcl_mm
from kmcl_mm.engine.runner import KMCLRunner
from tests.datasets import layouts

SMALL = {
    'model.backbone.pretrained': False,
    'model.backbone.layers': (1, 1, 1, 1),
    'model.backbone.width_factor': 0.25,
    'model.head.in_channels': 512,
    'train_cfg.max_epochs': 3,
    'param_scheduler.end': 3,
    'default_hooks.logger.interval': 1,
}


def run_configuration(name, root, work_dir, **settings):
    """Train and test; returns the logged losses and metrics."""
    cfg = kmcl_mm.get_config(name)
    cfg.merge_from_dict({**SMALL, **settings})
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(root)
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    runner = KMCLRunner.from_cfg(cfg)
    runner.train()
    metrics = runner.test()
    lines = [json.loads(line) for path in work_dir.glob('*/vis_data/scalars.json') for line in path.open()]
    return [line for line in lines if 'loss' in line], metrics


@pytest.mark.parametrize('size', 'ml')
@pytest.mark.parametrize('data', ['adp', 'chestxray14', 'nuswide'])
def test_published_layouts(data, size, tmp_path):
    (tmp_path / 'data').mkdir()
    getattr(layouts, f'draw_{data}')(tmp_path / 'data')
    losses, metrics = run_configuration(f'kmcl_tresnet_{size}_{data}', tmp_path / 'data', tmp_path / 'run')
    # Eight training images in batches of four, three epochs.
    assert len(losses) == 6 and all(0 < line['loss'] < 1e4 for line in losses)
    assert 0 < metrics['multi-label/mAP'] <= 100 and 0 < metrics['per-label/mAP'] <= 100


@pytest.mark.parametrize('label_column', ['labels', None])
def test_own_data(label_column, tmp_path):
    (tmp_path / 'data').mkdir()
    layouts.draw_custom(tmp_path / 'data')
    if label_column is None:
        for split in ('train', 'val'):
            table = tmp_path / f'data/{split}.csv'
            rows = [line.split(',') for line in table.read_text().splitlines()[1:]]
            target = [[str(int(name in cell.split('|'))) for name in layouts.CUSTOM_CLASSES] for _, cell in rows]
            # One label of one image is unknown.
            target[0][0] = '-1'
            lines = [','.join([image, *labels]) for (image, _), labels in zip(rows, target)]
            table.write_text('\n'.join([','.join(['image', *layouts.CUSTOM_CLASSES]), *lines]))
    settings = {f'{split}_dataloader.dataset.label_column': label_column for split in ('train', 'val', 'test')}
    losses, metrics = run_configuration('kmcl_tresnet_m_custom', tmp_path / 'data', tmp_path / 'run', **settings)
    assert len(losses) == 6 and all(0 < line['loss'] < 1e4 for line in losses)
    assert 0 < metrics['multi-label/mAP'] <= 100
