"""Training, testing and resuming through the command-line tools."""

import csv
import errno
import json
import logging
import os
import pickle
import re
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmpretrain.structures import label_to_onehot

from kmcl_mm.apps.inference import load_classifier
from kmcl_mm.apps.model_building import build_model
from kmcl_mm.config import load_config
from kmcl_mm.datasets import DigitScenes
from kmcl_mm.engine import KMCLRunner
from kmcl_mm.evaluation import MultiLabelF1
from kmcl_mm.functional import neighbour_vote
from tests.attacks import ATTACKS
from tests.conftest import ROOT

DIGITS = 'configs/kmcl_tresnet_m_digits.py'
# The demo on a hundredth of its data, with timm's smallest network.
SMALL = {
    'model.backbone.model_name': 'test_resnet',
    'model.backbone.layers': None,
    'model.backbone.width_factor': None,
    'model.head.in_channels': 96,
    'train_dataloader.dataset.num_scenes': 24,
    'val_dataloader.dataset.num_scenes': 10,
    'test_dataloader.dataset.num_scenes': 10,
    'train_dataloader.batch_size': 8,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'default_hooks.logger.interval': 1,
    'train_cfg.val_interval': 1,
    'param_scheduler.end': 3,
    'train_cfg.max_epochs': 3,
}


HOST_TOOLS = Path(mmpretrain.__file__).parent / '.mim/tools'


@pytest.fixture
def small_config(tmp_path):
    """A configuration file like the demo's with other settings on top."""

    def write(base=DIGITS, settings=SMALL, **more):
        cfg = Config.fromfile(ROOT / base)
        cfg.merge_from_dict({**settings, **more})
        cfg.model.backbone = {key: value for key, value in cfg.model.backbone.items() if value is not None}
        path = tmp_path / 'small.py'
        cfg.dump(path)
        return path

    return write


@pytest.fixture
def run_tool(monkeypatch, capfd):
    """Run a Python tool in this process, and return what it prints."""
    monkeypatch.chdir(ROOT)
    # MMEngine's loggers of former tests hold the streams of those.
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run_tool(tool, *arguments, expect=0):
        # MMEngine takes trainings of one configuration that begin in one second for one.
        time.sleep(1 - time.time() % 1)
        monkeypatch.setattr(sys, 'argv', [f'tools/{tool}.py', *map(str, arguments)])
        status = 0
        try:
            runpy.run_path(f'tools/{tool}.py', run_name='__main__')
        except SystemExit as stopped:
            status = stopped.code
        output = ''.join(capfd.readouterr())
        assert status == expect, output[-5000:]
        return output

    yield run_tool
    torch.set_num_threads(threads)


def run(*command, expect=0, **environment):
    """Run a command from the checkout in processes of its own, as a user does, and return what it prints."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ['PATH']))
    environment = {**os.environ, 'PATH': path, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **environment}
    command = [str(part) for part in command]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == expect, result.stdout[-5000:]
    return result.stdout


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def scalars(work_dir):
    """What the host has logged: a list of dicts, for training and for validation."""
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if 'loss' in line], [line for line in lines if 'multi-label/mAP' in line]


def weights(path):
    return torch.load(path, weights_only=False)


def test_train_test_and_resume(small_config, tmp_path, run_tool):
    config = small_config()
    run_tool('train', config, '--work-dir', tmp_path / 'whole')
    losses, validations = scalars(tmp_path / 'whole')
    assert len(losses) == 9 and len(validations) == 3
    assert {'loss_asl', 'loss_reconstruction', 'loss_contrastive'} <= losses[0].keys()
    assert 'multi-label/mAP_origin' in validations[0]
    assert losses[0]['loss'] == pytest.approx(
        sum(losses[0][f'loss_{name}'] for name in ('asl', 'reconstruction', 'contrastive')), rel=1e-4
    )

    # The best checkpoint reaches the best metric of raw and averaged weights.
    (best,) = (tmp_path / 'whole').glob('best_*.pth')
    metrics, test_dir = tmp_path / 'metrics.json', tmp_path / 'test'
    run_tool('test', config, best, '--work-dir', test_dir, '--out', metrics, '--out-item', 'metrics')
    expected = max(line[f'multi-label/mAP{suffix}'] for line in validations for suffix in ('', '_origin'))
    assert json.loads(metrics.read_text())['multi-label/mAP'] == pytest.approx(expected)

    # Stopped after the first epoch and resumed, it ends with the same weights.
    run_tool('train', config, '--work-dir', tmp_path / 'parts', '--cfg-options', 'train_cfg.max_epochs=1')
    run_tool('train', config, '--work-dir', tmp_path / 'parts', '--resume')
    whole, parts = (weights(tmp_path / name / 'epoch_3.pth') for name in ('whole', 'parts'))
    for part in ('state_dict', 'ema_state_dict'):
        for name, tensor in whole[part].items():
            torch.testing.assert_close(parts[part][name], tensor, rtol=0, atol=0, msg=name)
    assert len(parts['message_hub']['log_scalars']['train/loss'].data[0]) == 9


def test_predictions_with_and_without_views(small_config, tmp_path, run_tool):
    """The scores of an image are the average of its own and those of its mirror image."""
    settings, pipeline = {'train_cfg.max_epochs': 1}, 'test_dataloader.dataset.pipeline'
    run_tool('train', small_config(**settings), '--work-dir', tmp_path / 'run', '--no-validate')
    flip = {pipeline: [dict(type='RandomFlip', prob=1.0), dict(type='PackInputs')]}
    scores = {}
    for name, more, options in (('plain', {}, []), ('flipped', flip, []), ('views', {}, ['--tta'])):
        config, out = small_config(**settings, **more), tmp_path / f'{name}.pkl'
        output = run_tool('test', config, tmp_path / 'run/epoch_1.pth', '--work-dir', tmp_path, '--out', out, *options)
        assert 'do not match' not in output and 'multi-label/mAP' in output
        scores[name] = torch.stack([sample['pred_score'] for sample in pickle.loads(out.read_bytes())])
    assert not scores['plain'].equal(scores['flipped'])
    torch.testing.assert_close(scores['views'], (scores['plain'] + scores['flipped']) / 2)


def test_pictures_of_predictions(small_config, tmp_path, run_tool):
    config = small_config(**{'train_cfg.max_epochs': 1})
    run_tool('train', config, '--work-dir', tmp_path / 'run', '--no-validate')
    options = ['--work-dir', tmp_path / 'test', '--show-dir', tmp_path / 'test/pictures', '--interval', 5]
    run_tool('test', config, tmp_path / 'run/epoch_1.pth', *options)
    assert len(list((tmp_path / 'test/pictures').iterdir())) == 2


def test_intervals_and_a_comparison_of_two_runs(small_config, tmp_path, run_tool, monkeypatch):
    scenes = {'test_dataloader.dataset.num_scenes': 30, 'train_cfg.max_epochs': 2}
    config = small_config(**scenes)
    run_tool('train', config, '--work-dir', tmp_path / 'run')
    (best,) = (tmp_path / 'run').glob('best_*.pth')

    files = [tmp_path / f'{name}.json' for name in ('plain', 'intervals')]
    options = [['--out', path, '--out-item', 'metrics', '--work-dir', tmp_path / 'test'] for path in files]
    run_tool('test', config, best, *options[0])
    output = run_tool('test', config, best, *options[1], '--bootstrap', 20)
    plain, intervals = (json.loads(path.read_text()) for path in files)
    assert {name: intervals[name] for name in plain} == plain
    assert len(intervals) == 3 * len(plain)
    for metric in ('PartialLabelAP', 'MultiLabelF1', 'PerLabelAP'):
        assert f'{metric} with intervals of 95 % (20 resamplings of 30 images)' in output
    mean, low, high = (intervals[f'per-label/mAP{end}'] for end in ('', '_low', '_high'))
    assert f'{mean:7.4g}  ({low:.4g} to {high:.4g})' in output and low < high
    # Of ten patients, in the order of the data set.
    know = DigitScenes.get_data_info
    monkeypatch.setattr(DigitScenes, 'get_data_info', lambda self, n: dict(know(self, n), patient_id=f'p{n // 3}'))
    settings = ['test_evaluator.0.type=AveragePrecision', 'test_dataloader.sampler.shuffle=True']
    output = run_tool('test', config, best, *options[1], '--bootstrap', 20, '--cfg-options', *settings)
    assert 'AveragePrecision with intervals of 95 % (20 resamplings of 30 images in 10 groups)' in output
    grouped = json.loads(files[1].read_text())
    assert grouped['per-label/mAP'] == mean and grouped['per-label/mAP_low'] != low
    evaluator = dict(_delete_=True, type='Evaluator', metrics=dict(type='PerLabelAP'))
    whole = small_config(**scenes, test_evaluator=evaluator)
    run_tool('test', whole, best, *options[1], '--bootstrap', 20)
    assert json.loads(files[1].read_text()) == {name: v for name, v in grouped.items() if name.startswith('per-label')}
    assert 'at least 1' in run_tool('test', config, best, '--bootstrap', 0, expect=2)

    table = tmp_path / 'new/both.csv'
    options = ['--out', table.with_suffix('.png'), '--resamplings', 50]
    output = run_tool('compare', tmp_path / 'run', tmp_path / 'run/epoch_1.pth', *options)
    assert f'checkpoint {best}' in output and table.with_suffix('.png').read_bytes().startswith(b'\x89PNG')
    *labels, mean = csv.DictReader(table.open())
    assert {row['label'] for row in labels} <= set(DigitScenes.METAINFO['classes'])
    for row in labels:
        assert float(row['ap_a']) == pytest.approx(plain[f'per-label/AP/{row["label"]}'], abs=1e-3)
        assert float(row['difference']) == pytest.approx(float(row['ap_b']) - float(row['ap_a']))
    assert mean['label'] == 'mAP' and float(mean['ap_a']) == pytest.approx(plain['per-label/mAP'], abs=1e-3)
    assert re.search(r'mAP \(95 %: -?\d+\.\d\d to -?\d+\.\d\d\)\.$', output.strip())

    same = run_tool('compare', best, best, *options)
    assert 'No difference can be told from chance: B - A is 0.00 mAP (95 %: 0.00 to 0.00).' in same
    for path, message in (
        (tmp_path / 'none', 'There is no folder or checkpoint'),
        (tmp_path / 'test', 'Give a checkpoint in it'),
    ):
        output = run_tool('compare', best, path, *options, expect=2)
        assert message in output and 'Traceback' not in output
    assert 'must end in .png' in run_tool('compare', best, best, '--out', table, expect=2)


@pytest.mark.parametrize(
    'options, message',
    [(['--out', 'a.json'], 'must end in .pkl'), (['--out-item', 'metrics'], '--out-item needs --out')],
)
def test_where_results_cannot_be_written_it_says_so_at_once(run_tool, options, message):
    assert message in run_tool('test', 'some.py', 'some.pth', *options, expect=2)


TRAIN_OPTIONS = [
    [],
    ['--work-dir', 'runs/one'],
    ['--resume'],
    ['--resume', 'runs/epoch_2.pth'],
    ['--amp'],
    ['--no-validate'],
    ['--auto-scale-lr'],
    ['--no-pin-memory', '--no-persistent-workers'],
    ['--launcher', 'pytorch', '--local-rank', '1'],
    ['--amp', '--cfg-options', 'optim_wrapper.loss_scale=512.0', 'train_dataloader.pin_memory=False'],
]
TEST_OPTIONS = [
    [],
    ['--work-dir', 'runs/one', '--launcher', 'slurm'],
    ['--amp', '--no-pin-memory'],
    ['--show-dir', 'pictures', '--interval', '3'],
    ['--show', '--wait-time', '1'],
    ['--cfg-options', 'test_dataloader.batch_size=4'],
]


@pytest.mark.parametrize(
    'tool, options',
    [*(('train', options) for options in TRAIN_OPTIONS), *(('test', options) for options in TEST_OPTIONS)],
)
def test_an_option_does_what_it_does_in_mmpretrains_tool(monkeypatch, tmp_path, tool, options):
    """The configuration that is run is the same."""
    settings = dict(
        train_cfg=dict(max_epochs=1),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
        auto_scale_lr=dict(base_batch_size=64),
        train_dataloader=dict(batch_size=8, num_workers=2),
        val_dataloader=dict(batch_size=8, num_workers=2, persistent_workers=False, collate_fn=dict(type='mine')),
        test_dataloader=dict(batch_size=8, num_workers=2),
        val_evaluator=dict(type='SingleLabelMetric'),
        default_hooks=dict(visualization=dict(type='VisualizationHook', enable=False)),
    )
    path = tmp_path / 'some.py'
    Config(settings).dump(path)
    found = []
    for folder in (ROOT / 'tools', HOST_TOOLS):
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.delenv('LOCAL_RANK')
        checkpoint = ['some.pth'] if tool == 'test' else []
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', str(path), *checkpoint, *options])
        module = runpy.run_path(str(folder / f'{tool}.py'))
        args = module['parse_args']()
        cfg = Config.fromfile(path)
        if folder == HOST_TOOLS:
            module['merge_args'](cfg, args)
        else:
            module['apply_options'](cfg, args)
            cfg = load_config(cfg, args.cfg_options)
        found.append(dict(cfg.to_dict(), work_dir=os.path.normpath(cfg.work_dir)))
        found[-1]['rank'] = os.environ.get('LOCAL_RANK', '0')
        found[-1].pop('filename', None)
    ours, theirs = found
    assert ours == theirs


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_the_options_are_those_of_mmpretrains_tool(monkeypatch, capsys, tool):
    found = []
    for folder in (ROOT / 'tools', HOST_TOOLS):
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', '--help'])
        module = runpy.run_path(str(folder / f'{tool}.py'))
        with pytest.raises(SystemExit):
            module['parse_args']()
        found.append(set(re.findall(r'--[a-z][a-z-]+', capsys.readouterr().out)))
    ours, theirs = found
    more = {'--bootstrap'} if tool == 'test' else set()
    assert ours == theirs - {'--local', '--local-rank'} | more


@pytest.mark.parametrize(
    'door', ['resume', 'automatic resume', 'load_from', 'test', 'show_predictions', 'calibrate', 'fit_thresholds']
)
def test_a_checkpoint_that_runs_code_is_refused(small_config, tmp_path, run_tool, door):
    """At each door that a checkpoint comes in by."""
    config, work_dir = small_config(), tmp_path / 'run'
    work_dir.mkdir()
    bad = work_dir / 'epoch_1.pth'
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), bad)
    (work_dir / 'last_checkpoint').write_text(str(bad))
    command = {
        'resume': ['train', config, '--resume', bad, '--work-dir', work_dir],
        'automatic resume': ['train', config, '--resume', '--work-dir', work_dir],
        'load_from': ['train', config, '--work-dir', work_dir, '--cfg-options', f'load_from={bad}'],
        'test': ['test', config, bad, '--work-dir', work_dir],
        'show_predictions': ['show_predictions', config, bad, '--out', tmp_path / 'grid.png'],
        'calibrate': ['calibrate', config, bad],
        'fit_thresholds': ['fit_thresholds', config, bad],
    }[door]
    output = run_tool(*command, expect=2)
    assert f'error: {bad} was not loaded' in output and 'could run code' in output and 'Traceback' not in output
    assert not (ROOT / 'pwned').exists()


@pytest.fixture(scope='module')
def of_other_labels(tmp_path_factory):
    """A configuration of the demo, and a checkpoint whose labels are in another order."""
    folder = tmp_path_factory.mktemp('labels')
    cfg = Config.fromfile(ROOT / DIGITS)
    cfg.merge_from_dict(SMALL)
    cfg.model.backbone = {key: value for key, value in cfg.model.backbone.items() if value is not None}
    cfg.dump(folder / 'small.py')
    model = build_model(cfg)
    names = DigitScenes.METAINFO['classes'][::-1]
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=names))), folder / 'best_1.pth')
    return folder


@pytest.mark.parametrize(
    'command',
    [
        'train small.py --resume best_1.pth --work-dir run',
        'test small.py best_1.pth --work-dir run',
        'show_predictions small.py best_1.pth --out grid.png',
        'calibrate small.py best_1.pth',
        'fit_thresholds small.py best_1.pth',
        'report .',
    ],
)
def test_a_checkpoint_of_other_labels_is_refused(of_other_labels, run_tool, command):
    """At each door that a checkpoint and data come in by."""
    tool, *arguments = command.split()
    files = ('small.py', 'best_1.pth', 'run', 'grid.png', '.')
    output = run_tool(tool, *(of_other_labels / name if name in files else name for name in arguments), expect=2)
    assert "best_1.pth was trained for the labels ['nine', " in output and "in another order: ['zero', " in output
    assert {path.name for path in of_other_labels.iterdir()} <= {'small.py', 'best_1.pth', 'run'}


def test_mixed_precision_is_left_out_without_a_gpu(small_config, tmp_path, run_tool):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    config = small_config(**{'train_cfg.max_epochs': 1})
    output = run_tool('train', config, '--amp', '--no-validate', '--work-dir', tmp_path / 'run')
    assert 'training without mixed precision' in output
    assert (tmp_path / 'run/epoch_1.pth').is_file()


def test_two_processes_log_the_same_first_losses_as_one(small_config, tmp_path, run_tool):
    """Frozen norm layers, no augmentation, the same images in all, contrasted together and with one balance."""
    config = small_config(
        **{
            'model.backbone.type': 'FrozenTIMMBackbone',
            'train_dataloader.sampler.shuffle': False,
            'train_cfg.max_epochs': 1,
        }
    )
    run_tool('train', config, '--work-dir', tmp_path / 'one')
    options = ['--cfg-options', 'train_dataloader.batch_size=4']
    run('tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'two', *options, PORT=free_port())
    one, two = (scalars(tmp_path / name)[0][0] for name in ('one', 'two'))
    for name in ('loss_asl', 'loss_reconstruction', 'loss_contrastive'):
        assert two[name] == pytest.approx(one[name], rel=1e-5)

    # Testing on two processes sees every image once.
    (checkpoint,) = (tmp_path / 'two').glob('best_*.pth')
    metrics = [tmp_path / f'{name}.json' for name in ('one', 'two')]
    options = [['--out', path, '--out-item', 'metrics', '--work-dir', tmp_path / 'test'] for path in metrics]
    run_tool('test', config, checkpoint, *options[0])
    run('tools/dist_test.sh', config, checkpoint, 2, *options[1], PORT=free_port())
    one, two = (json.loads(path.read_text()) for path in metrics)
    assert two['multi-label/mAP'] == pytest.approx(one['multi-label/mAP'])


# Imported by the configuration, so that it hears of the end after all that the runner does there.
TELL_AT_EXIT = """
import atexit
from torch import distributed
atexit.register(lambda: print(f'The process group is there at exit: {distributed.is_initialized()}.', flush=True))
"""


def test_mmpretrains_own_tool_trains_the_same_on_two_processes(small_config, tmp_path):
    """Without a GPU: each parameter, the losses, and an end without the process group."""
    (tmp_path / 'tell_at_exit.py').write_text(TELL_AT_EXIT)
    config = small_config(**{'train_cfg.max_epochs': 2, 'custom_imports.imports': ['kmcl_mm', 'tell_at_exit']})
    options = [config, '--launcher', 'pytorch', '--work-dir']
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', 2, '--master_port', free_port()]
    environment = dict(PYTHONPATH=f'{ROOT}{os.pathsep}{tmp_path}', CUDA_VISIBLE_DEVICES='')
    outputs = [
        run(*launch, HOST_TOOLS / 'train.py', *options, tmp_path / 'theirs', **environment),
        run('tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'ours', PORT=free_port(), **environment),
    ]
    for output in outputs:
        assert output.count('The process group is there at exit: False.') == 2
    ours, theirs = (weights(tmp_path / name / 'epoch_2.pth') for name in ('ours', 'theirs'))
    for part in ('state_dict', 'ema_state_dict'):
        assert ours[part].keys() == theirs[part].keys()
        assert not [name for name, tensor in ours[part].items() if not tensor.equal(theirs[part][name])]
    losses = [scalars(tmp_path / name)[0] for name in ('ours', 'theirs')]
    names = ('loss', 'loss_asl', 'loss_reconstruction', 'loss_contrastive', 'lr')
    assert [[line[name] for name in names] for line in losses[0]] == [
        [line[name] for name in names] for line in losses[1]
    ]
    assert len(losses[0]) == 2  # one batch of each process in an epoch

    start = weights(tmp_path / 'ours/epoch_1.pth')['state_dict']
    still = [
        name for name, tensor in ours['state_dict'].items() if tensor.is_floating_point() and tensor.equal(start[name])
    ]
    assert still == []


def test_predictions_are_printed_and_drawn_and_thresholds_fitted(small_config, tmp_path, run_tool):
    # Each digit is in one of 40 scenes at the least.
    scenes = {f'{split}_dataloader.dataset.num_scenes': 40 for split in ('val', 'test')}
    config = small_config(**{'train_cfg.max_epochs': 1, **scenes})
    run_tool('train', config, '--work-dir', tmp_path / 'run')
    (best,) = (tmp_path / 'run').glob('best_*.pth')
    grid = tmp_path / 'pictures/grid.png'
    output = run_tool('show_predictions', config, best, '--out', grid, '--num-images', 5)
    best_map = max(
        line[f'multi-label/mAP{suffix}'] for line in scalars(tmp_path / 'run')[1] for suffix in ('', '_origin')
    )
    assert re.search(rf'mean +{best_map:.2f}\n', output)
    assert 'one threshold for all labels, 0.50' in output
    assert all(re.search(rf'{name} +\d+\.\d\d +\d+ positives', output) for name in ('zero', 'nine'))
    assert grid.read_bytes().startswith(b'\x89PNG')

    output = run_tool('fit_thresholds', config, best, '--goal', 'recall', '--wished', 0.9)
    assert 'tools/fit_thresholds.py is now tools/calibrate.py --parts thresholds.' in output
    assert 'each half is judged by what was fitted on the other half' in output and 'CF1' in output
    fitted = best.with_name(f'{best.stem}_thresholds.pth')
    thresholds = list(torch.load(fitted, weights_only=False)['meta']['thresholds'].values())
    assert len(thresholds) == 10
    output = run_tool('test', config, fitted, '--work-dir', tmp_path / 'test', '--out', tmp_path / 'scores.pkl')
    assert 'by the thresholds that were fitted for the checkpoint' in output
    samples = pickle.loads((tmp_path / 'scores.pkl').read_bytes())
    expected = MultiLabelF1(thr=thresholds).calculate(
        torch.stack([sample['pred_score'] for sample in samples]),
        torch.stack([label_to_onehot(sample['gt_label'], 10) for sample in samples]),
    )
    assert f'multi-label/CF1: {expected["CF1"]:.4f}' in output
    output = run_tool('show_predictions', config, fitted, '--out', tmp_path / 'fitted.png')
    assert 'a fitted threshold for each label' in output


def calibrated_scores(config, checkpoint, calibration):
    """Scores of the test images by the weights of a checkpoint and the numbers of a calibration, from the equations."""
    cfg = load_config(config, {})
    model, _ = load_classifier(cfg, checkpoint, 'cpu')
    loader = KMCLRunner.build_dataloader(cfg.test_dataloader, seed=0)
    logits, features, embedding = [], [], []
    with torch.inference_mode():
        for batch in loader:
            pooled = model.extract_feat(model.data_preprocessor(batch)['inputs'])
            features.append(pooled[-1])
            embedding.append(model.head.pre_logits(pooled))
            logits.append(model.head.mixture(pooled).logits)
    mixed = calibration['slopes'][0] * torch.cat(logits) + calibration['biases']
    parts = zip(calibration['slopes'][1:], calibration['memories'], map(torch.cat, (features, embedding)))
    for slope, memory, description in parts:
        query = torch.nn.functional.normalize(description - memory['mean'], dim=1)
        vectors, options = memory['vectors'].float(), (memory['neighbours'], memory['temperature'])
        votes = neighbour_vote(query, vectors, calibration['target'], *options)
        mixed = mixed + slope * votes.clamp(0.001, 0.999).logit()
    return mixed.sigmoid()


def scores_of_test(run_tool, tmp_path, *arguments):
    """Scores that tools/test.py writes, and what it prints."""
    out = tmp_path / 'scores.pkl'
    output = run_tool('test', *arguments, '--work-dir', tmp_path / 'test', '--out', out)
    return torch.stack([sample['pred_score'] for sample in pickle.loads(out.read_bytes())]), output


def test_a_checkpoint_is_calibrated(small_config, tmp_path, run_tool):
    """Then tests have calibrated scores, and a training from it is the one from the plain checkpoint."""
    scenes = {f'{split}_dataloader.dataset.num_scenes': 40 for split in ('val', 'test')}
    config = small_config(**{'train_cfg.max_epochs': 1, **scenes})
    run_tool('train', config, '--work-dir', tmp_path / 'run')
    (best,) = (tmp_path / 'run').glob('best_*.pth')
    printed = run_tool('calibrate', config, best)
    assert 'Memory of 24 training images, 0.0 MB. Neighbours that vote: 2' in printed
    assert 'Fitted on 40 images, which are the test images too: here each half is judged by what was' in printed
    assert 'dimensions' not in printed and 'Uncertain' in printed
    for name in ('calibration error', 'Brier score', 'OF1'):
        assert re.search(rf'\n{name} +[\d.]+ +[\d.]+ +[+-][\d.]+ \([+-][\d.]+ to [+-][\d.]+\)\n', printed)
    calibrated = best.with_name(f'{best.stem}_calibrated.pth')
    assert printed.endswith(f'Checkpoint: {calibrated}\n')

    plain, content = weights(best), weights(calibrated)
    calibration, thresholds = content.pop('calibration'), content['meta'].pop('thresholds')
    assert content.keys() == plain.keys() and content['meta'] == plain['meta']
    assert all(tensor.equal(plain['state_dict'][name]) for name, tensor in content['state_dict'].items())
    assert list(thresholds) == calibration['labels'] == list(DigitScenes.METAINFO['classes'])
    assert calibration['names'] == [f'image {number}' for number in range(24)]
    scenes = DigitScenes(num_scenes=24)
    expected = [label_to_onehot(scenes.get_data_info(number)['gt_label'], 10).tolist() for number in range(24)]
    assert calibration['target'].tolist() == expected

    scores, output = scores_of_test(run_tool, tmp_path, config, best)
    assert 'Scores are calibrated' not in output
    before = re.search(r'multi-label/mAP: ([\d.]+)', output)[1]
    assert re.search(rf'\nmAP +{float(before):.2f} ', printed)
    found, output = scores_of_test(run_tool, tmp_path, config, calibrated)
    assert 'Scores are calibrated, with the votes of 24 training images.' in output
    assert 'by the thresholds that were fitted for the checkpoint' in output
    torch.testing.assert_close(found, calibrated_scores(config, best, calibration), rtol=1e-3, atol=1e-4)
    assert (found - scores).abs().mean() > 0.05

    losses = []
    for name, checkpoint in (('plain', best), ('calibrated', calibrated)):
        run_tool('train', config, '--work-dir', tmp_path / name, '--cfg-options', f'load_from={checkpoint}')
        losses.append([line['loss'] for line in scalars(tmp_path / name)[0]])
        assert 'calibration' not in weights(tmp_path / name / 'epoch_1.pth')
    assert len(losses[0]) == 3 and losses[0] == losses[1]


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    """A configuration of the demo, a checkpoint, and one that is calibrated and has thresholds."""
    folder = tmp_path_factory.mktemp('demo')
    cfg = Config.fromfile(ROOT / DIGITS)
    cfg.merge_from_dict({**SMALL, 'val_dataloader.dataset.num_scenes': 30, 'test_dataloader.dataset.num_scenes': 31})
    cfg.model.backbone = {key: value for key, value in cfg.model.backbone.items() if value is not None}
    cfg.dump(folder / 'small.py')
    torch.manual_seed(0)
    content = dict(
        state_dict=build_model(cfg).state_dict(), meta=dict(dataset_meta=dict(classes=DigitScenes.METAINFO['classes']))
    )
    torch.save(content, folder / 'plain.pth')
    torch.save(dict(content, meta=dict(content['meta'], epoch=9)), folder / 'other.pth')
    run(sys.executable, 'tools/calibrate.py', folder / 'small.py', folder / 'plain.pth')
    return folder


def test_parts_of_a_calibration(demo, tmp_path, run_tool):
    config, plain, whole = demo / 'small.py', demo / 'plain.pth', demo / 'plain_calibrated.pth'
    alone = tmp_path / 'alone.pth'
    output = run_tool('calibrate', config, plain, '--parts', 'calibration', '--out', alone)
    assert 'Fitted on 30 images. On 31 test images, which chose nothing of it' in output
    assert 'Memory' not in output and 'precision' not in output
    content = weights(alone)
    assert content['calibration']['memories'] == [] and content['calibration']['target'] is None
    assert 'thresholds' not in content['meta']
    scores, output = scores_of_test(run_tool, tmp_path, config, alone)
    assert 'Scores are calibrated.' in output and 'by its threshold 0.5' in output
    expected = calibrated_scores(config, plain, content['calibration'])
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)

    # Thresholds alone are for the calibrated scores, and keep the calibration.
    run_tool('calibrate', config, alone, '--parts', 'thresholds')
    fitted = weights(tmp_path / 'alone_thresholds.pth')
    assert len(fitted['meta']['thresholds']) == 10
    assert fitted['calibration']['slopes'].equal(content['calibration']['slopes'])
    assert fitted['meta']['thresholds'] != weights(whole)['meta']['thresholds']

    # Anew, from a checkpoint that is calibrated already: the same as from the plain one.
    run_tool('calibrate', config, whole, '--out', tmp_path / 'again.pth')
    again, first = weights(tmp_path / 'again.pth'), weights(whole)
    assert again['meta'] == first['meta']
    assert again['calibration']['slopes'].equal(first['calibration']['slopes'])


def test_a_smaller_memory(demo, tmp_path, run_tool):
    out = tmp_path / 'small.pth'
    sizes = ['--max-images', 500, '--max-megabytes', 0.1]
    more = ['--cfg-options', 'train_dataloader.dataset.num_scenes=600']
    output = run_tool('calibrate', demo / 'small.py', demo / 'plain.pth', *sizes, '--out', out, *more)
    assert 'Memory of 500 training images, 0.1 MB' in output
    changes = r'are kept, which changes the mAP of validation images by [+-]\d+\.\d\d\.'
    assert re.search(rf'Of \[96, 128\] dimensions \[\d+, \d+\] {changes}', output)
    state = weights(out)['calibration']
    assert len(state['names']) == 500 and all(len(memory['vectors']) == 500 for memory in state['memories'])
    parts = [memory[name] for memory in state['memories'] for name in ('vectors', 'projection')]
    assert 90_000 < sum(part.nbytes for part in (*parts, state['target'])) <= 100_000


def test_numbers_of_another_calibration(demo, tmp_path, run_tool):
    out, whole = tmp_path / 'like.pth', demo / 'plain_calibrated.pth'
    options = ['--like', whole, '--max-images', 15, '--out', out]
    # Validation images are not needed.
    output = run_tool('calibrate', demo / 'small.py', demo / 'other.pth', *options, '--cfg-options', 'val_dataloader=')
    assert f'Taken over from {whole}. On 31 test images' in output and 'Fitting' not in output
    assert 'Memory of 15 training images' in output
    taken, original = weights(out), weights(whole)
    assert taken['meta']['epoch'] == 9
    assert taken['meta']['thresholds'] == pytest.approx(original['meta']['thresholds'])
    for name in ('slopes', 'biases'):
        assert taken['calibration'][name].equal(original['calibration'][name])
    for memory, other in zip(taken['calibration']['memories'], original['calibration']['memories']):
        assert (memory['neighbours'], memory['temperature']) == (other['neighbours'], other['temperature'])
        assert len(memory['vectors']) == 15


@pytest.mark.parametrize(
    'arguments, message',
    [
        ('plain.pth --parts memory', '--parts memory needs calibration'),
        ('plain.pth --parts memory thresholds', '--parts memory needs calibration'),
        ('plain.pth --parts votes', 'invalid choice'),
        ('plain.pth --max-images 0', 'expected a whole number of at least 1'),
        ('plain.pth --max-megabytes 0', '--max-megabytes must be above 0'),
        ('plain.pth --max-megabytes nan', '--max-megabytes must be above 0'),
        ('plain.pth --max-megabytes 1e-3', 'does not fit into 0.001 MB'),
        ('plain.pth --goal precision', '--goal precision needs --wished'),
        ('plain.pth --wished 0.9', '--wished is for --goal precision or recall'),
        ('plain.pth --goal recall --wished 1.5', 'must be in (0, 1], but is 1.5'),
        ('plain.pth --cfg-options val_dataloader=', 'no val_dataloader.dataset'),
        ('plain.pth --cfg-options train_dataloader=', 'no train_dataloader.dataset'),
        ('plain.pth --like plain.pth', 'a calibration with a memory, but it has none'),
        ('plain.pth --like plain_calibrated.pth --parts thresholds', 'add calibration to --parts'),
        ('plain.pth --like plain_calibrated.pth --goal recall --wished 0.5', '--goal recall has no effect'),
        ('plain.pth --like plain.pth --parts calibration', 'a calibration without a memory, but it has none'),
        ('plain.pth --like plain_calibrated.pth --parts calibration thresholds', 'but it has one with a memory'),
        ('plain.pth --like bad.pth', 'could run code'),
        ('plain.pth --like small.py', 'small.py'),
        ('none.pth', 'none.pth'),
        ('plain.pth --like none.pth', 'none.pth'),
    ],
)
def test_a_calibration_that_cannot_be(demo, run_tool, arguments, message):
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), demo / 'bad.pth')
    before = {path.name for path in demo.iterdir()}
    arguments = [demo / word if re.fullmatch(r'\w+\.(pth|py)', word) else word for word in arguments.split()]
    output = run_tool('calibrate', demo / 'small.py', *arguments, '--device', 'cpu', expect=2)
    assert message in output and 'Traceback' not in output and not (ROOT / 'pwned').exists()
    assert {path.name for path in demo.iterdir()} == before


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            'plain.pth --cfg-options model.head.thr=None model.head.topk=3',
            'The head predicts its highest labels (topk), not by thresholds. Set model.head.thr.',
        ),
        (
            'plain_calibrated.pth --parts memory calibration',
            'The thresholds in plain_calibrated.pth are for its former scores. Add thresholds to --parts.',
        ),
    ],
)
def test_thresholds_that_do_not_fit(demo, run_tool, arguments, message):
    at = {name: str(demo / name) for name in ('plain.pth', 'plain_calibrated.pth')}
    message = ' '.join(at.get(word, word) for word in message.split())
    words = [at.get(word, word) for word in arguments.split()]
    assert message in run_tool('calibrate', demo / 'small.py', *words, '--out', demo / 'never.pth', expect=2)
    assert not (demo / 'never.pth').exists()


def test_the_highest_labels_of_calibrated_scores(demo, tmp_path, run_tool):
    """A head that predicts by topk is calibrated without thresholds."""
    head, out = ['--cfg-options', 'model.head.thr=None', 'model.head.topk=3'], tmp_path / 'out.pth'
    output = run_tool('calibrate', demo / 'small.py', demo / 'plain.pth', '--parts', 'calibration', '--out', out, *head)
    before, after = re.search(r'\nOF1 +([\d.]+) +([\d.]+) ', output).groups()
    for checkpoint, expected in ((demo / 'plain.pth', before), (out, after)):
        _, output = scores_of_test(run_tool, tmp_path, demo / 'small.py', checkpoint, *head)
        assert f'{float(re.search(r"multi-label/OF1: ([0-9.]+)", output)[1]):.2f}' == expected


def test_a_training_of_too_few_steps(small_config, tmp_path, run_tool):
    """Of five steps the learning rate rises for one."""
    settings = {'train_cfg.max_epochs': 1, 'param_scheduler.end': 1, 'train_dataloader.dataset.num_scenes': 40}
    output = run_tool('train', small_config(**settings), '--work-dir', tmp_path / 'run', expect=2)
    assert 'too short' in output and 'train_cfg.max_epochs' in output and 'Traceback' not in output


def test_weights_that_cannot_be_fetched(small_config, tmp_path, run_tool, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'empty'))
    config = small_config(**{'model.backbone.model_name': 'resnet18', 'model.backbone.pretrained': True})
    output = run_tool('train', config, '--work-dir', tmp_path / 'run', expect=2)
    assert 'cannot be fetched' in output and 'checkpoint_path=FILE' in output and 'Traceback' not in output


def test_a_work_dir_that_cannot_be_written_to(small_config, run_tool, monkeypatch):
    def fail(folder, *_):
        raise PermissionError(errno.EACCES, 'Permission denied', folder)

    monkeypatch.setattr('mmengine.mkdir_or_exist', fail)
    output = run_tool('train', small_config(), '--work-dir', '/runs', expect=2)
    assert re.search('error: /runs.*Permission denied', output)
    assert 'Traceback' not in output


def test_missing_data_is_named_before_training(tmp_path, run_tool):
    output = run_tool(
        'train',
        'configs/kmcl_tresnet_m_coco.py',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'model.backbone.pretrained=False',
        'model.backbone.layers=[1,1,1,1]',
        'model.backbone.width_factor=0.25',
        'model.head.in_channels=512',
        expect=2,
    )
    assert 'data/coco/annotations/instances_train2014.json' in output.splitlines()[-1]


@pytest.mark.parametrize(
    'tool, usage',
    [
        ('dist_train.sh', 'CONFIG PROCESSES'),
        ('dist_test.sh', 'CONFIG CHECKPOINT PROCESSES'),
        ('slurm_train.sh', 'PARTITION JOB_NAME CONFIG WORK_DIR'),
        ('slurm_test.sh', 'PARTITION JOB_NAME CONFIG CHECKPOINT'),
    ],
)
def test_usage(tool, usage):
    assert usage in run(f'tools/{tool}', expect=2)


def test_real_coco(small_config, tmp_path, shared_data, run_tool):
    """The published COCO configuration on real images, with a narrow network: the whole path from JSON to mAP."""
    root = shared_data / 'coco_mini'
    config = small_config(
        'configs/kmcl_tresnet_m_coco.py',
        {
            'model.backbone.model_name': 'tresnet_m',
            'model.backbone.pretrained': False,
            'model.backbone.layers': (1, 1, 1, 1),
            'model.backbone.width_factor': 0.25,
            'model.head.in_channels': 512,
            'train_cfg.max_epochs': 1,
            'param_scheduler.end': 1,
            'default_hooks.logger.interval': 1,
            'train_dataloader.batch_size': 20,
            **{
                f'{loader}_dataloader.{key}': value
                for loader in ('train', 'val', 'test')
                for key, value in {
                    'num_workers': 2,
                    'dataset.data_root': str(root),
                    'dataset.ann_file': f'annotations/instances_{"train" if loader == "train" else "val"}2017.json',
                    'dataset.data_prefix': f'{"train" if loader == "train" else "val"}2017',
                }.items()
            },
        },
    )
    run_tool('train', config, '--work-dir', tmp_path / 'run')
    losses, validations = scalars(tmp_path / 'run')
    assert len(losses) == 4 and all(line['loss_contrastive'] > 0 for line in losses)
    metrics = validations[0]
    for name in ('mAP', 'CP', 'CF1', 'OF1', 'CF1_top3', 'OF1_top3'):
        assert f'multi-label/{name}' in metrics and f'multi-label/{name}_origin' in metrics


@pytest.mark.parametrize('split', ['train', 'val'])
def test_samples_are_drawn(small_config, tmp_path, run_tool, split):
    path = tmp_path / 'pictures/samples.png'
    output = run_tool('browse_dataset', small_config(), '--out', path, '--num-images', 4, '--split', split)
    assert f'Picture of 4 {split} samples: {path}' in output
    assert path.read_bytes().startswith(b'\x89PNG')
