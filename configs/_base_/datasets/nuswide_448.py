# NUS-WIDE at 448 px, 32 images a GPU.

_base_ = './nuswide_224.py'

train_dataloader = dict(batch_size=32, dataset=dict(pipeline={{_base_.train_pipeline_448}}))
val_dataloader = dict(batch_size=32, dataset=dict(pipeline={{_base_.test_pipeline_448}}))
test_dataloader = dict(batch_size=32, dataset=dict(pipeline={{_base_.test_pipeline_448}}))
