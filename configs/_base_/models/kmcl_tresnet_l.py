# TResNet-L (its second version, as the published runs had it) with the published kernel mixture head.

_base_ = './kmcl_tresnet_m.py'

model = dict(backbone=dict(model_name='tresnet_v2_l.miil_in21k'))
