# What the published recipe has in common for all data sets: normalisation, loaders, metrics.
#
# The pipelines are those of kmcl_mm/datasets/recipe.py; docs/augmentation.md says what each transform does.

data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True, to_onehot=True)
# The images of a batch are stacked where they are loaded: one tensor passes between the processes, not one per image.
# Workers live as long as the training: starting eight anew for each epoch takes time.
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
test_dataloader = val_dataloader

# mAP, and CP, CR, CF1, OP, OR, OF1 at the head's threshold, over all labels and over each image's top 3.
val_evaluator = [dict(type='PartialLabelAP'), dict(type='MultiLabelF1', topk=3)]
test_evaluator = [*val_evaluator, dict(type='PerLabelAP')]
