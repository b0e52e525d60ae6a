# KMCL on another backbone: timm's ConvNeXt-Tiny at 224 px on MS-COCO 2014, with the recipe of TResNet-M.
#
# Reproduces no published number: it shows that any timm backbone fits. A backbone of MMPretrain's own takes
# backbone=dict(type='ConvNeXt', ...) in the same place; the head needs its number of output channels alone. On several
# GPUs keep the total batch at 64: the losses are then the same as on one.
#     python tools/train.py configs/kmcl_convnext-tiny_coco.py

_base_ = './kmcl_tresnet_m_coco.py'

model = dict(
    backbone=dict(model_name='convnext_tiny.fb_in22k'),
    head=dict(in_channels=768, loss=dict(gather_distributed=True, asl_batch_size=64)),
)
