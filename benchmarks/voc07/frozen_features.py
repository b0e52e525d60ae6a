"""Train the heads of configurations on frozen features: tools/train.py's recipe, in minutes.

With a frozen backbone and no augmentation every epoch sees the same features. They are computed once, with the first
configuration's backbone and preprocessing, and kept in WORK_DIR/features.npz; the heads, losses, optimiser, schedule
and batch size are the configurations' own. Prints the VOC-style mAP on the test set for each configuration and seed.

    python benchmarks/voc07/frozen_features.py configs/{asl,kmcl}_efficientnet-lite0_voc07.py --cfg-options \\
        model.backbone.checkpoint_path=FILE train_dataloader.dataset.data_root=VOC2007 \\
        val_dataloader.dataset.data_root=VOC2007 test_dataloader.dataset.data_root=VOC2007
"""

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmengine.utils import track_iter_progress
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch.optim.lr_scheduler import OneCycleLR

import kmcl_mm  # noqa: F401
from kmcl_mm.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='configurations with the same backbone and data')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/voc07_frozen'))
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings to override, KEY=VALUE'
    )
    parser.add_argument(
        '--head-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings to override in KMCLHead configurations alone, KEY=VALUE',
    )
    return parser.parse_args()


def config_with_head_options(path: str, args: argparse.Namespace) -> Config:
    cfg = load_config(path, args.cfg_options)
    init_default_scope(cfg.default_scope)
    if cfg.model.head.type == 'KMCLHead':
        cfg.merge_from_dict({f'model.head.{key}': value for key, value in args.head_options.items()})
    return cfg


def feature_settings(cfg: Config) -> str:
    """What the features depend on."""
    parts = [cfg.model.backbone, cfg.data_preprocessor, cfg.train_dataloader.dataset, cfg.test_dataloader.dataset]
    return json.dumps(parts, sort_keys=True, default=str)


def extract_features(cfg: Config, path: Path) -> None:
    """Write features, one-hot targets and difficult labels (-1) of the training and the test set."""
    model = MODELS.build(
        dict(copy.deepcopy(cfg.model), data_preprocessor=dict(cfg.data_preprocessor, type='ClsDataPreprocessor'))
    ).eval()
    arrays = dict(settings=feature_settings(cfg))
    for name, loader_cfg in (('train', cfg.train_dataloader), ('test', cfg.test_dataloader)):
        loader_cfg = dict(loader_cfg, drop_last=False, sampler=dict(type='DefaultSampler', shuffle=False))
        features, targets = [], []
        loader = Runner.build_dataloader(loader_cfg, seed=0)
        for batch in track_iter_progress((loader, len(loader))):
            with torch.inference_mode():
                data = model.data_preprocessor(batch)
                features.append(model.extract_feat(data['inputs'], stage='neck')[-1])
            for sample in data['data_samples']:
                target = sample.gt_score.clone()
                difficult = set(sample.get('gt_label_difficult') or ()) - set(sample.gt_label.tolist())
                target[list(difficult)] = -1
                targets.append(target)
        arrays[f'{name}_features'], arrays[f'{name}_targets'] = (
            torch.cat(features).numpy(),
            torch.stack(targets).numpy(),
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix('.unfinished.npz')
    np.savez(unfinished, **arrays)
    unfinished.replace(path)


def train_head(cfg: Config, features: torch.Tensor, targets: torch.Tensor, seed: int) -> torch.nn.Module:
    set_random_seed(seed)
    head = MODELS.build(cfg.model.head)
    head.init_weights()
    optim_wrapper = build_optim_wrapper(head, copy.deepcopy(cfg.optim_wrapper))
    batch_size, epochs = cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs
    steps = len(features) // batch_size
    schedule = OneCycleLR(
        optim_wrapper.optimizer,
        cfg.param_scheduler.eta_max,
        total_steps=steps * epochs,
        pct_start=cfg.param_scheduler.pct_start,
        cycle_momentum=False,
    )
    for _ in range(epochs):
        for chosen in torch.randperm(len(features))[: steps * batch_size].split(batch_size):
            samples = [DataSample().set_gt_score(target) for target in targets[chosen]]
            optim_wrapper.update_params(sum(head.loss((features[chosen],), samples).values()))
            schedule.step()
    return head.eval()


def mean_average_precision(cfg: Config, head: torch.nn.Module, features: torch.Tensor, targets: torch.Tensor) -> float:
    evaluator = Evaluator([dict(type='PartialLabelAP')])
    with torch.inference_mode():
        scores = head((features,)).sigmoid()
    evaluator.process([dict(pred_score=score, gt_score=target) for score, target in zip(scores, targets)])
    return evaluator.evaluate(len(features))['multi-label/mAP']


def main() -> None:
    args = parse_args()
    path = args.work_dir / 'features.npz'
    if not path.is_file():
        extract_features(config_with_head_options(args.configs[0], args), path)
    arrays = dict(np.load(path))
    settings = str(arrays.pop('settings'))
    data = {name: torch.from_numpy(array) for name, array in arrays.items()}
    for config in args.configs:
        cfg = config_with_head_options(config, args)
        if feature_settings(cfg) != settings:
            raise ValueError(
                f'Expected the features in {path} to be of the backbone and data of {config}, but they are of '
                f'other settings:\n{settings}\nGive another --work-dir.'
            )
        results = []
        for seed in args.seeds:
            head = train_head(cfg, data['train_features'], data['train_targets'].clamp(min=0), seed)
            results.append(mean_average_precision(cfg, head, data['test_features'], data['test_targets']))
            print(f'{Path(config).stem} seed {seed}: mAP {results[-1]:.2f}', flush=True)
        print(
            f'{Path(config).stem}: mean {np.mean(results):.2f}, lowest {min(results):.2f}, highest {max(results):.2f}'
        )


if __name__ == '__main__':
    main()
