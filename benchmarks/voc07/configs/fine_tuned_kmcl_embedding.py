# The same by KMCL with kernels at the embedding: the contrast shapes the embedding, and nothing is reconstructed.

_base_ = './fine_tuned_asl.py'

model = dict(
    head=dict(
        _delete_=True,
        type='KMCLHead',
        num_classes=20,
        in_channels=1280,
        kernels='embedding',
        loss=dict(
            type='KMCLLoss',
            variant='exact',
            distance_scale=0.1,
            reconstruction_weight=0,
            contrastive_weight=10,
            asl_batch_size=64,
        ),
    )
)
