# The same by KMCL as published: mapped anisotropic kernels, all three losses with weight 1.

_base_ = './fine_tuned_asl.py'

model = dict(
    head=dict(
        _delete_=True,
        type='KMCLHead',
        num_classes=20,
        in_channels=1280,
        loss=dict(type='KMCLLoss', variant='reference', asl_batch_size=64),
    )
)
