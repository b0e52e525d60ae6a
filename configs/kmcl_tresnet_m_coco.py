# KMCL, TResNet-M at 224 px on MS-COCO 2014. Published mAP: 82.1 (arXiv:2307.03967, table of COCO results).
#
# Needs data/coco with annotations/, train2014/ and val2014/; timm fetches the ImageNet-21K weights. One GPU.
#     python tools/train.py configs/kmcl_tresnet_m_coco.py

_base_ = [
    '_base_/models/kmcl_tresnet_m.py',
    '_base_/datasets/coco2014.py',
    '_base_/schedules/recipe_m.py',
    '_base_/default_runtime.py',
]
