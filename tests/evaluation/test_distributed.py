"""Three processes with uneven shards give exactly the numbers of one."""

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample
from torch import distributed

from kmcl_mm.engine.runner import leave_process_group

IMAGES, LABELS = 32, 5
METRICS = [dict(type='mmpretrain.MultiLabelF1', thr=0.5, topk=2), dict(type='mmpretrain.PerLabelAP')]


def evaluate(indices):
    """What the evaluators say of all images, of which this process has these."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(IMAGES, LABELS, generator=generator)
    target = torch.randint(-1, 2, (IMAGES, LABELS), generator=generator)
    evaluator = Evaluator(METRICS)
    evaluator.dataset_meta = dict(classes=tuple('abcde'))
    evaluator.process([DataSample().set_pred_score(scores[i]).set_gt_score(target[i]) for i in indices])
    return evaluator.evaluate(IMAGES)


def _evaluate_on_rank(rank, folder):
    distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=3)
    # As the host's DefaultSampler: in turn, and filled up with images from the beginning.
    indices = (list(range(IMAGES)) * 2)[: -(-IMAGES // 3) * 3][rank::3]
    torch.save(evaluate(indices), folder / f'{rank}.pt')
    leave_process_group()


def test_images_that_fill_up_the_shards_do_not_count(tmp_path):
    torch.multiprocessing.spawn(_evaluate_on_rank, args=(tmp_path,), nprocs=3)
    expected = evaluate(range(IMAGES))
    assert {'multi-label/CF1_top2', 'per-label/mAP', 'per-label/AP/a'} <= expected.keys()
    for rank in range(3):
        assert torch.load(tmp_path / f'{rank}.pt') == pytest.approx(expected, rel=0, abs=0)
