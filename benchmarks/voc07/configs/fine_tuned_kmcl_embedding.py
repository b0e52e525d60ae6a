# The same by KMCL with kernels at the embedding: the contrast shapes the embedding, and nothing is reconstructed.

_base_ = './fine_tuned_kmcl.py'

model = dict(
    head=dict(
        kernels='embedding',
        loss=dict(variant='exact', distance_scale=0.1, reconstruction_weight=0, contrastive_weight=10),
    )
)
