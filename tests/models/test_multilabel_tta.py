"""Test-time augmentation of a small network on drawn scenes, against scores that are computed view by view."""

import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from mmpretrain.structures import DataSample
from PIL import Image
from torch.utils.data import DataLoader

import kmcl_mm
from kmcl_mm.engine import KMCLRunner, load_weights
from kmcl_mm.engine.fitted import THRESHOLDS_KEY

SIZES = (48, 64)
VIEWS = [
    [dict(type='Resize', scale=(size, size)), dict(type='RandomFlip', prob=prob), dict(type='PackInputs')]
    for size in SIZES
    for prob in (0.0, 1.0)
]
PIPELINE = [
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(size, size)) for size in SIZES],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            [dict(type='PackInputs')],
        ],
    )
]
MODEL = dict(
    type='ImageClassifier',
    backbone=dict(type='TIMMBackbone', model_name='test_resnet'),
    neck=dict(type='GlobalAveragePooling'),
    data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[64.0] * 3, to_onehot=True),
)


def scenes(pipeline):
    return DATASETS.build(dict(type='DigitScenes', split='test', num_scenes=6, test_mode=True, pipeline=pipeline))


def build(**head):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    head = dict(dict(type='KMCLHead', num_classes=10, in_channels=96), **head)
    return MODELS.build(dict(type='MultiLabelTTA', module=dict(MODEL, head=head))).eval()


@torch.no_grad()
def merged(model):
    (batch,) = DataLoader(scenes(PIPELINE), batch_size=6, collate_fn=pseudo_collate)
    return model.test_step(batch)


@torch.no_grad()
def mean_scores(model):
    """The mean over the views, each tested by itself."""
    scores = []
    for view in VIEWS:
        (batch,) = DataLoader(scenes(view), batch_size=6, collate_fn=pseudo_collate)
        scores.append(torch.stack([sample.pred_score for sample in model.module.test_step(batch)]))
    assert not torch.allclose(scores[0], scores[1]) and not torch.allclose(scores[0], scores[2])
    return torch.stack(scores).mean(dim=0)


@pytest.mark.parametrize('head', [dict(thr=0.5), dict(thr=None, topk=2), dict(type='MultiLabelLinearClsHead', thr=0.5)])
def test_scores_are_the_mean_of_the_views_and_labels_follow_it(head):
    model = build(**head)
    expected = mean_scores(model)
    for sample, scores in zip(merged(model), expected):
        torch.testing.assert_close(sample.pred_score, scores)
        wanted = scores.topk(2).indices if head.get('topk') else (scores >= 0.5).nonzero().flatten()
        assert sorted(sample.pred_label.tolist()) == sorted(wanted.tolist())
        assert sample.gt_label.numel() >= 1


def test_each_label_has_its_own_threshold():
    model = build()
    expected = mean_scores(model)
    del model.module.head.thr
    model.module.head.register_buffer('thr', expected.mean(dim=0), persistent=False)
    for sample, scores in zip(merged(model), expected):
        assert sample.pred_label.tolist() == (scores >= expected.mean(dim=0)).nonzero().flatten().tolist()


def test_the_labels_of_one_view_do_not_count():
    model = build(thr=0.5)
    views = [
        DataSample().set_pred_score(torch.tensor(scores)).set_pred_label([0]) for scores in ([0.9, 0.4], [0.0, 0.8])
    ]
    assert model.merge_preds([views])[0].pred_label.tolist() == [1]


def test_a_checkpoint_is_tested_with_views(tmp_path):
    """Through the runner, with weights from a file and thresholds fitted for them."""
    model = build()
    classes = scenes([]).metainfo['classes']
    thresholds = dict.fromkeys(classes, 0.25)
    meta = {'dataset_meta': dict(classes=classes), THRESHOLDS_KEY: thresholds}
    torch.save(dict(state_dict=model.module.state_dict(), meta=meta), tmp_path / 'best.pth')
    head = dict(type='KMCLHead', num_classes=10, in_channels=96)
    runner = KMCLRunner(
        model=dict(type='MultiLabelTTA', module=dict(MODEL, head=head)),
        work_dir=str(tmp_path),
        test_dataloader=dict(
            batch_size=6,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
            dataset=dict(type='DigitScenes', split='test', num_scenes=6, test_mode=True, pipeline=PIPELINE),
        ),
        test_cfg=dict(),
        test_evaluator=[dict(type='PartialLabelAP'), dict(type='MultiLabelF1', thr=0.25, topk=None)],
        default_hooks=dict(fitted_thresholds=dict(type='FittedThresholdsHook')),
        load_from=str(tmp_path / 'best.pth'),
        default_scope='mmpretrain',
        experiment_name=tmp_path.name,
    )
    metrics = runner.test()
    target = torch.stack([torch.zeros(10).index_fill(0, torch.tensor(item['gt_label']), 1) for item in scenes([])])
    expected = kmcl_mm.evaluation.PartialLabelAP.calculate(mean_scores(model), target)
    assert metrics['multi-label/mAP'] == pytest.approx(expected.item(), abs=1e-3)
    assert torch.equal(runner.model.module.head.thr, torch.full((10,), 0.25))
    assert load_weights(model.module, tmp_path / 'best.pth').initial == []


def test_the_views_of_the_configuration(tmp_path):
    """Two sizes, each with its mirror image; the first view is the image that is tested without views."""
    pixels = torch.randint(0, 256, (100, 150, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.numpy()).save(tmp_path / 'image.png')
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_voc07_tta')
    init_default_scope('mmpretrain')
    image = dict(img_path=str(tmp_path / 'image.png'), gt_label=[2], gt_label_difficult=[4])
    plain, views = (Compose(part)(dict(image)) for part in (cfg.test_dataloader.dataset.pipeline, cfg.tta_pipeline))
    assert cfg.tta_model == dict(type='MultiLabelTTA') and cfg.tta_pipeline[0].min_size == 288
    assert [tuple(view.shape) for view in views['inputs']] == [(3, size, size) for size in (224, 224, 288, 288)]
    assert views['inputs'][0].equal(plain['inputs'])
    assert views['inputs'][1].equal(views['inputs'][0].flip(2)) and views['inputs'][3].equal(views['inputs'][2].flip(2))
    assert all(sample.gt_label_difficult == [4] for sample in views['data_samples'])
