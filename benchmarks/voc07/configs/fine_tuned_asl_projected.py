# The same with a projection to 128 dimensions before the logits, as KMCL's head has one: what of a difference to the
# linear head is the projection's.

_base_ = './fine_tuned_kmcl_embedding.py'

model = dict(head=dict(loss=dict(contrastive_weight=0)))
