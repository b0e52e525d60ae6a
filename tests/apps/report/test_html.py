"""The page as a file: the tool writes it for heads with and without kernels, and for folders that lack something."""

import html
import re
import runpy
import shutil
import sys

import pytest

from tests.apps.report.conftest import LABELS
from tests.conftest import ROOT


@pytest.fixture
def report(monkeypatch, capsys):
    """Run the tool; what it returns is its status and what it has printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['report.py', *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / 'tools/report.py'), run_name='__main__')
            status = 0
        except SystemExit as stopped:
            status = stopped.code
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


def test_the_tool_writes_the_page(report, training, tmp_path):
    out = tmp_path / 'new/page.html'
    status, output = report(training[0], '--out', out, '--max-images', 9)
    assert status == 0 and str(out) in output and 'best_mAP_epoch_3.pth' in output
    page = out.read_text(encoding='utf-8')
    assert 'Each dot is one of 9 test images, drawn evenly from 24' in page
    assert 'How the similarity of kernels is measured' in page and 'rank correlation' in page
    assert '<dt>last start</dt><dd>2026-01-02 03:04' in page and 'after epoch 3' in page
    assert LABELS[0] not in page and LABELS[1] not in page and '<b>00.png' not in page
    assert '&lt;b&gt;' in page


def test_a_linear_head_by_topk_without_a_log(report, linear_training):
    folder, _ = linear_training
    status, output = report(folder, '--cfg-options', 'model.head.thr=None')
    assert status == 0, output
    page = (folder / 'report.html').read_text(encoding='utf-8')
    assert 'This head does not have one kernel per label' in page and 'How the similarity' not in page
    assert 'no log of the training' in page and 'no log of a validation' in page
    assert 'there are no CF1 and OF1' in page and 'Entropy of the kernels' not in page


def test_kernels_at_the_embedding(report, embedding_training):
    status, output = report(embedding_training)
    assert status == 0, output
    page = (embedding_training / 'report.html').read_text(encoding='utf-8')
    assert 'This head does not have one kernel per label' in page and 'How the similarity' not in page
    assert 'Indecision of the scores' in page and 'Entropy of the kernels' not in page


def test_without_a_test_image_that_has_a_label(report, training, images, tmp_path):
    header, *rows = (images / 'val.csv').read_text().splitlines()
    (images / 'none.csv').write_text('\n'.join([header, *(row.rsplit(',', 4)[0] + ',0,0,0,0' for row in rows[:3])]))
    options = [f'{split}_dataloader.dataset.ann_file=none.csv' for split in ('train', 'test')]
    out = tmp_path / 'page.html'
    status, output = report(training[0], '--out', out, '--cfg-options', *options)
    assert status == 0, output
    page = out.read_text(encoding='utf-8')
    for words in ('there is nothing to measure', 'no pairs to show', 'too few images for a map', '<dd>none</dd>'):
        assert words in page


def test_without_a_known_label(report, training, images, tmp_path):
    header, *rows = (images / 'val.csv').read_text().splitlines()
    (images / 'unknown.csv').write_text('\n'.join([header, *(row.rsplit(',', 4)[0] + ',-1,-1,-1,-1' for row in rows)]))
    out = tmp_path / 'page.html'
    status, output = report(training[0], '--out', out, '--cfg-options', 'test_dataloader.dataset.ann_file=unknown.csv')
    assert status == 0, output
    assert 'No label of a test image is known' in out.read_text(encoding='utf-8')


@pytest.mark.parametrize('trained', ['1,1,0,0', '0,0,0,0'])
def test_labels_without_a_training_image_are_named(report, training, images, tmp_path, trained):
    header, *rows = (images / 'train.csv').read_text().splitlines()
    (images / 'few.csv').write_text('\n'.join([header, *(f'{row.rsplit(",", 4)[0]},{trained}' for row in rows)]))
    out = tmp_path / 'page.html'
    status, output = report(training[0], '--out', out, '--cfg-options', 'train_dataloader.dataset.ann_file=few.csv')
    assert status == 0, output
    page = out.read_text(encoding='utf-8')
    (named,) = re.findall('No training image has (.*); only test images have', page)
    assert sorted(html.unescape(named).split(', ')) == sorted(LABELS[2:3] if trained == '1,1,0,0' else LABELS[:3])
    assert '<summary>All labels as a table' in page
    assert 'nothing to measure' not in page and 'there are no curves' not in page


def test_a_configuration_without_test_images(report, training, tmp_path):
    status, output = report(training[0], '--out', tmp_path / 'page.html', '--cfg-options', 'test_dataloader=None')
    assert status == 2 and 'has no `test_dataloader`' in output and 'Traceback' not in output


@pytest.mark.parametrize(
    'prepare, words',
    [
        (lambda folder: shutil.rmtree(folder), 'There is no folder'),
        (lambda folder: (folder / 'small.py').unlink(), 'has no configuration'),
        (lambda folder: next(folder.glob('best_*')).unlink(), 'has no best checkpoint'),
        (lambda folder: next(folder.glob('best_*')).write_bytes(b'text'), 'cannot be read as a checkpoint'),
    ],
)
def test_what_is_missing_ends_in_a_message(report, training, tmp_path, prepare, words):
    folder = tmp_path / 'copy'
    shutil.copytree(training[0], folder)
    prepare(folder)
    status, output = report(folder)
    assert status == 2 and words in output and 'Traceback' not in output
    assert not (folder / 'report.html').exists()


def test_without_bokeh_the_tool_says_what_to_install(report, training, monkeypatch):
    monkeypatch.setitem(sys.modules, 'bokeh.embed', None)
    monkeypatch.delitem(sys.modules, 'kmcl_mm.apps.report.html', raising=False)
    status, _ = report(training[0])
    assert 'pip install "kmcl_mm[report]"' in status


def test_another_import_that_fails_is_not_hidden(report, training, monkeypatch):
    monkeypatch.setitem(sys.modules, 'kmcl_mm.apps.report.html', None)
    with pytest.raises(ImportError, match='kmcl_mm.apps.report.html'):
        report(training[0])


def test_the_number_of_images_is_checked(report, training):
    status, output = report(training[0], '--max-images', 0)
    assert status == 2 and '--max-images: expected a whole number of at least 1, but got 0' in output
