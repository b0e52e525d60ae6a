import torch
from torch.distributed import init_process_group

from kmcl_mm.engine import AverageLossesHook
from kmcl_mm.engine.runner import leave_process_group


def _average(rank, folder):
    init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    outputs = dict(loss=torch.tensor(1.0 + rank), loss_asl=torch.tensor(10.0, dtype=torch.float64) * rank)
    AverageLossesHook().after_train_iter(None, 0, outputs=outputs)
    assert {name: value.item() for name, value in outputs.items()} == dict(loss=1.5, loss_asl=5.0)
    leave_process_group()


def test_averages_over_processes(tmp_path):
    torch.multiprocessing.spawn(_average, args=(tmp_path,), nprocs=2)


def test_leaves_one_process_alone():
    outputs = dict(loss=torch.tensor(1.0))
    AverageLossesHook().after_train_iter(None, 0, outputs=outputs)
    assert outputs == dict(loss=1.0)
    AverageLossesHook().after_train_iter(None, 0, outputs=None)
