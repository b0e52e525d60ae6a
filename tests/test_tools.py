"""Training, testing and resuming through the command-line tools, in processes of their own."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch

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


@pytest.fixture
def small_config(tmp_path):
    """A configuration file like the demo's with other settings on top."""

    def write(base=DIGITS, settings=SMALL, **more):
        from mmengine.config import Config

        cfg = Config.fromfile(ROOT / base)
        cfg.merge_from_dict({**settings, **more})
        cfg.model.backbone = {key: value for key, value in cfg.model.backbone.items() if value is not None}
        path = tmp_path / 'small.py'
        cfg.dump(path)
        return path

    return write


def run(*command, expect=0, **environment):
    """Run a command from the checkout, as a user does, and return what it prints."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ['PATH']))
    environment = dict(os.environ, PATH=path, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', **environment)
    command = [str(part) for part in command]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == expect, result.stdout[-5000:]
    return result.stdout


def scalars(work_dir):
    """What the host has logged: a list of dicts, for training and for validation."""
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if 'loss' in line], [line for line in lines if 'multi-label/mAP' in line]


def weights(path):
    return torch.load(path, weights_only=False)


def test_train_test_and_resume(small_config, tmp_path):
    config = small_config()
    run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'whole')
    losses, validations = scalars(tmp_path / 'whole')
    assert len(losses) == 9 and len(validations) == 3
    assert {'loss_asl', 'loss_reconstruction', 'loss_contrastive'} <= losses[0].keys()
    assert 'multi-label/mAP_origin' in validations[0]
    assert losses[0]['loss'] == pytest.approx(
        sum(losses[0][f'loss_{name}'] for name in ('asl', 'reconstruction', 'contrastive')), rel=1e-4
    )

    # The best checkpoint reaches the best metric of raw and averaged weights.
    (best,) = (tmp_path / 'whole').glob('best_*.pth')
    metrics = tmp_path / 'metrics.json'
    run(
        sys.executable,
        'tools/test.py',
        config,
        best,
        '--work-dir',
        tmp_path / 'test',
        '--out',
        metrics,
        '--out-item',
        'metrics',
    )
    expected = max(line[f'multi-label/mAP{suffix}'] for line in validations for suffix in ('', '_origin'))
    assert json.loads(metrics.read_text())['multi-label/mAP'] == pytest.approx(expected)

    # Stopped after the first epoch and resumed, it ends with the same weights.
    run(
        sys.executable,
        'tools/train.py',
        config,
        '--work-dir',
        tmp_path / 'parts',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'parts', '--resume')
    whole, parts = (weights(tmp_path / name / 'epoch_3.pth') for name in ('whole', 'parts'))
    for part in ('state_dict', 'ema_state_dict'):
        for name, tensor in whole[part].items():
            torch.testing.assert_close(parts[part][name], tensor, rtol=0, atol=0, msg=name)
    assert len(parts['message_hub']['log_scalars']['train/loss'].data[0]) == 9


@pytest.mark.parametrize(
    'door', ['resume', 'automatic resume', 'load_from', 'test', 'show_predictions', 'fit_thresholds']
)
def test_a_checkpoint_that_runs_code_is_refused(small_config, tmp_path, door):
    """At each door that a checkpoint comes in by."""
    config, work_dir = small_config(), tmp_path / 'run'
    work_dir.mkdir()
    bad = work_dir / 'epoch_1.pth'
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), bad)
    (work_dir / 'last_checkpoint').write_text(str(bad))
    command = {
        'resume': ['tools/train.py', config, '--resume', bad, '--work-dir', work_dir],
        'automatic resume': ['tools/train.py', config, '--resume', '--work-dir', work_dir],
        'load_from': ['tools/train.py', config, '--work-dir', work_dir, '--cfg-options', f'load_from={bad}'],
        'test': ['tools/test.py', config, bad, '--work-dir', work_dir],
        'show_predictions': ['tools/show_predictions.py', config, bad, '--out', tmp_path / 'grid.png'],
        'fit_thresholds': ['tools/fit_thresholds.py', config, bad],
    }[door]
    output = run(sys.executable, *command, expect=2)
    assert f'Expected the checkpoint {bad}' in output and 'could run code' in output and 'Traceback' not in output
    assert not (ROOT / 'pwned').exists()


def test_resuming_runs_no_configuration_of_the_checkpoint(small_config, tmp_path):
    config, work_dir = small_config(**{'train_cfg.max_epochs': 1}), tmp_path / 'run'
    run(sys.executable, 'tools/train.py', config, '--work-dir', work_dir)
    state = torch.load(work_dir / 'epoch_1.pth', weights_only=False)
    state['meta']['config'] = f'open({str(tmp_path / "pwned")!r}, "w")'
    torch.save(state, work_dir / 'epoch_1.pth')
    run(sys.executable, 'tools/train.py', config, '--resume', '--work-dir', work_dir)
    assert not (tmp_path / 'pwned').exists()


def test_mixed_precision_is_left_out_without_a_gpu(small_config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    config = small_config(**{'train_cfg.max_epochs': 1})
    output = run(sys.executable, 'tools/train.py', config, '--amp', '--work-dir', tmp_path / 'run')
    assert 'training without mixed precision' in output
    assert (tmp_path / 'run/epoch_1.pth').is_file()


def test_two_processes_log_the_same_first_losses_as_one(small_config, tmp_path):
    """Frozen norm layers, no augmentation, the same images in all, contrasted together and with one balance."""
    config = small_config(
        **{
            'model.backbone.type': 'FrozenTIMMBackbone',
            'train_dataloader.sampler.shuffle': False,
            'train_cfg.max_epochs': 1,
        }
    )
    run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'one')
    run(
        'tools/dist_train.sh',
        config,
        2,
        '--work-dir',
        tmp_path / 'two',
        '--cfg-options',
        'train_dataloader.batch_size=4',
        PORT='29617',
    )
    one, two = (scalars(tmp_path / name)[0][0] for name in ('one', 'two'))
    for name in ('loss_asl', 'loss_reconstruction', 'loss_contrastive'):
        assert two[name] == pytest.approx(one[name], rel=1e-5)

    # Testing on two processes sees every image once.
    metrics = [tmp_path / f'{name}.json' for name in ('one', 'two')]
    (checkpoint,) = (tmp_path / 'two').glob('best_*.pth')
    run(
        sys.executable,
        'tools/test.py',
        config,
        checkpoint,
        '--out',
        metrics[0],
        '--out-item',
        'metrics',
        '--work-dir',
        tmp_path / 'test',
    )
    run(
        'tools/dist_test.sh',
        config,
        checkpoint,
        2,
        '--out',
        metrics[1],
        '--out-item',
        'metrics',
        '--work-dir',
        tmp_path / 'test',
        PORT='29618',
    )
    one, two = (json.loads(path.read_text()) for path in metrics)
    assert two['multi-label/mAP'] == pytest.approx(one['multi-label/mAP'])


def test_every_parameter_trains_on_two_processes(small_config, tmp_path):
    config = small_config(**{'train_cfg.max_epochs': 1, 'model.head.loss.gather_distributed': True})
    run('tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'two', PORT='29619')
    assert (tmp_path / 'two/epoch_1.pth').is_file()


def test_predictions_are_printed_and_drawn_and_thresholds_fitted(small_config, tmp_path):
    # Each digit is in one of 40 scenes at the least.
    scenes = {f'{split}_dataloader.dataset.num_scenes': 40 for split in ('val', 'test')}
    config = small_config(**{'train_cfg.max_epochs': 1, **scenes})
    run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'run')
    (best,) = (tmp_path / 'run').glob('best_*.pth')
    output = run(
        sys.executable,
        'tools/show_predictions.py',
        config,
        best,
        '--out',
        tmp_path / 'pictures/grid.png',
        '--num-images',
        5,
    )
    best_map = max(
        line[f'multi-label/mAP{suffix}'] for line in scalars(tmp_path / 'run')[1] for suffix in ('', '_origin')
    )
    assert re.search(rf'mean +{best_map:.2f}\n', output)
    assert 'one threshold for all labels, 0.50' in output
    assert all(re.search(rf'{name} +\d+\.\d\d +\d+ positives', output) for name in ('zero', 'nine'))
    assert (tmp_path / 'pictures/grid.png').read_bytes().startswith(b'\x89PNG')

    output = run(sys.executable, 'tools/fit_thresholds.py', config, best, '--goal', 'recall', '--wished', 0.9)
    assert 'fitted on one half of them and tested on the other' in output and 'CP ' in output
    fitted = best.with_name(f'{best.stem}_thresholds.pth')
    assert len(torch.load(fitted, weights_only=False)['meta']['thresholds']) == 10
    run(sys.executable, 'tools/test.py', config, fitted, '--work-dir', tmp_path / 'test')
    output = run(sys.executable, 'tools/show_predictions.py', config, fitted, '--out', tmp_path / 'fitted.png')
    assert 'a fitted threshold for each label' in output


def test_a_training_of_too_few_steps(small_config, tmp_path):
    """Of five steps the learning rate rises for one."""
    settings = {'train_cfg.max_epochs': 1, 'param_scheduler.end': 1, 'train_dataloader.dataset.num_scenes': 40}
    config = small_config(**settings)
    output = run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'run', expect=1)
    assert 'too short' in output and 'train_cfg.max_epochs' in output and 'Traceback' not in output


def test_weights_that_cannot_be_fetched(small_config, tmp_path):
    config = small_config(**{'model.backbone.model_name': 'resnet18', 'model.backbone.pretrained': True})
    offline = dict(HF_HUB_OFFLINE='1', HF_HOME=str(tmp_path / 'empty'))
    output = run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'run', expect=1, **offline)
    assert 'cannot be fetched' in output and 'checkpoint_path=FILE' in output and 'Traceback' not in output


def test_missing_data_is_named_before_training(tmp_path):
    output = run(
        sys.executable,
        'tools/train.py',
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
    ],
)
def test_usage(tool, usage):
    assert usage in run(f'tools/{tool}', expect=2)


def test_slurm_command(tmp_path):
    """What would be started, by an `srun` that prints its arguments."""
    (tmp_path / 'srun').write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    environment = dict(
        os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='8', GPUS_PER_NODE='4', SRUN_ARGS='--qos=x'
    )
    output = subprocess.run(
        ['tools/slurm_train.sh', 'part', 'job', 'a b.py', 'out', '--amp'],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert '--partition=part' in output and '--gres=gpu:4' in output and '--ntasks=8' in output and '--qos=x' in output
    assert 'tools/train.py a b.py --work-dir=out --launcher=slurm --amp' in output


def test_real_coco(small_config, tmp_path, shared_data):
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
    run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'run')
    losses, validations = scalars(tmp_path / 'run')
    assert len(losses) == 4 and all(line['loss_contrastive'] > 0 for line in losses)
    metrics = validations[0]
    for name in ('mAP', 'CP', 'CF1', 'OF1', 'CF1_top3', 'OF1_top3'):
        assert f'multi-label/{name}' in metrics and f'multi-label/{name}_origin' in metrics


@pytest.mark.parametrize('split', ['train', 'val'])
def test_samples_are_drawn(small_config, tmp_path, split):
    path = tmp_path / 'pictures/samples.png'
    output = run(
        sys.executable, 'tools/browse_dataset.py', small_config(), '--out', path, '--num-images', 4, '--split', split
    )
    assert f'Picture of 4 {split} samples: {path}' in output
    assert path.read_bytes().startswith(b'\x89PNG')
