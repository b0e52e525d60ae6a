# TResNet-M with the kernel mixture head in its published form: anisotropic kernels, Bhattacharyya similarity.
# timm's networks equal the published code's. With pretrained=True timm fetches the ImageNet-21K weights.

model = dict(
    type='ImageClassifier',
    backbone=dict(type='TIMMBackbone', model_name='tresnet_m.miil_in21k', pretrained=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='KMCLHead',
        num_classes=80,
        in_channels=2048,
        covariance='anisotropic',
        similarity='bhattacharyya',
        thr=0.8,
        loss=dict(type='KMCLLoss', variant='reference'),
    ),
)
