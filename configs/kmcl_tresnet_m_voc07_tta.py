# kmcl_tresnet_m_voc07.py, tested with four views of each image: two sizes, each with its mirror image.
#
# The training is the same; a checkpoint of either configuration fits both. Reproduces no published number.
#     python tools/test.py configs/kmcl_tresnet_m_voc07_tta.py CHECKPOINT --tta

_base_ = './kmcl_tresnet_m_voc07.py'

tta_model = dict(type='MultiLabelTTA')
tta_pipeline = [
    dict(type='LoadCheckedImage', min_size=288),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(size, size), interpolation='bilinear') for size in (224, 288)],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            [dict(type='PackInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'gt_label_difficult'))],
        ],
    ),
]
