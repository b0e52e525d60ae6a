import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from kmcl_mm.functional import asymmetric_loss
from tests import judge


def test_in_the_hosts_linear_head():
    head = MODELS.build(
        dict(
            type='MultiLabelLinearClsHead',
            num_classes=4,
            in_channels=6,
            loss=dict(type='ASLLoss', gamma_neg=3, clip=0.1, loss_weight=2.0),
        )
    )
    feats, target = torch.randn(3, 6), torch.tensor([[0.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    loss = head.loss((feats,), [DataSample().set_gt_score(row) for row in target])['loss']
    expected = 2 * judge.asymmetric(head((feats,)), target, gamma_neg=3, clip=0.1)
    torch.testing.assert_close(loss.item(), expected, rtol=1e-5, atol=0)


def test_is_computed_in_float32_under_autocast():
    logits, target = torch.randn(3, 4).bfloat16(), torch.eye(3, 4)
    loss = MODELS.build(dict(type='ASLLoss'))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert loss(logits, target).equal(asymmetric_loss(logits.float(), target))
