# The baseline: kmcl_tresnet_m_coco.py with a linear head and the asymmetric loss alone (arXiv:2009.14119).
#
# Needs the same data and weights. One GPU.
#     python tools/train.py configs/asl_tresnet_m_coco.py

_base_ = [
    '_base_/models/asl_tresnet_m.py',
    '_base_/datasets/coco2014.py',
    '_base_/schedules/recipe_m.py',
    '_base_/default_runtime.py',
]
