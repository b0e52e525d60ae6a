"""tools/predict.py, in a process of its own."""

import copy
import sys

import pandas
import torch

from tests.attacks import ATTACKS
from tests.conftest import ROOT
from tests.test_tools import run


def test_a_table_and_pictures(small_cfg, save_checkpoint, folder, tmp_path):
    config, table, pictures = tmp_path / 'small.py', tmp_path / 'labels.csv', tmp_path / 'pictures'
    small_cfg.dump(config)
    output = run(
        sys.executable,
        'tools/predict.py',
        config,
        save_checkpoint(),
        folder,
        '--topk',
        2,
        '--out',
        table,
        '--show-dir',
        pictures,
    )
    assert f'Skipped {folder}/broken.jpg: ' in output and 'Table of 4 images' in output
    assert (pandas.read_csv(table)['labels'].dropna().str.count(r'\|') == 1).all()
    assert sorted(path.name for path in pictures.iterdir()) == [
        '00000_a.png',
        '00001_b.png',
        '00002_c.png',
        '00003_d.png',
    ]


def test_labels_that_the_terminal_cannot_show(small_cfg, classifier, folder, tmp_path):
    """The table has them as they are, the terminal as escapes."""
    labels = ('Straße', 'rust', 'leak')
    config, checkpoint, table = tmp_path / 'small.py', tmp_path / 'street.pth', tmp_path / 'labels.csv'
    cfg = copy.deepcopy(small_cfg)
    cfg.test_dataloader.dataset.metainfo.classes = labels
    cfg.dump(config)
    torch.save(dict(state_dict=classifier.state_dict(), meta=dict(dataset_meta=dict(classes=labels))), checkpoint)
    command = [sys.executable, 'tools/predict.py', config, checkpoint, folder, '--topk', 3, '--out', table]
    output = run(*command, '--device', 'cpu', PYTHONIOENCODING='ascii')
    assert r'Stra\xdfe' in output and 'Table of 4 images' in output
    assert pandas.read_csv(table)['labels'].dropna().str.contains('Straße').all()


def test_a_checkpoint_that_runs_code_is_refused(small_cfg, folder, tmp_path):
    config, bad = tmp_path / 'small.py', tmp_path / 'bad.pth'
    small_cfg.dump(config)
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), bad)
    assert 'could run code' in run(sys.executable, 'tools/predict.py', config, bad, folder, expect=2)
    assert not (ROOT / 'pwned').exists()
