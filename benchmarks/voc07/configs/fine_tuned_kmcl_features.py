# The same by KMCL with kernels at the features: the network is that of the baseline, its features are contrasted.

_base_ = './fine_tuned_kmcl_embedding.py'

model = dict(head=dict(embedding_channels=None, loss=dict(distance_scale=0.03)))
