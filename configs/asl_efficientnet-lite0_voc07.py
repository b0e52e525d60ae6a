# The baseline of kmcl_efficientnet-lite0_voc07.py: a linear head and the asymmetric loss alone, all else alike.
#     python tools/train.py configs/asl_efficientnet-lite0_voc07.py --cfg-options model.backbone.checkpoint_path=FILE

_base_ = './kmcl_efficientnet-lite0_voc07.py'

model = dict(
    head=dict(
        _delete_=True,
        type='MultiLabelLinearClsHead',
        num_classes=20,
        in_channels=1280,
        loss=dict(type='ASLLoss'),
        thr=0.8,
    )
)
