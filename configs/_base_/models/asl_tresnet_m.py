# TResNet-M with a linear head and the asymmetric loss alone (arXiv:2009.14119): the baseline.

_base_ = './kmcl_tresnet_m.py'

model = dict(
    head=dict(
        _delete_=True,
        type='MultiLabelLinearClsHead',
        num_classes=80,
        in_channels=2048,
        loss=dict(type='ASLLoss'),
        thr=0.8,
    )
)
