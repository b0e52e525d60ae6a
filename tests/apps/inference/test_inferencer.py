import copy
import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.fileio import LocalBackend
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.apis.base import BaseInferencer
from mmpretrain.structures import DataSample
from scipy.stats import entropy

from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.inference.decision_rule import label_names
from kmcl_mm.apps.inference.prediction_table import write_predictions
from kmcl_mm.modules.calibration import descriptions_of
from tests.apps.inference.conftest import LABELS
from tests.attacks import ATTACKS

pandas = pytest.importorskip('pandas')


@pytest.fixture
def inferencer(small_cfg, save_checkpoint):
    return KMCLInferencer(small_cfg, save_checkpoint())


def names(predictions):
    return [prediction.source.rpartition('photos/')[2] for prediction in predictions.images]


def test_scores_equal_those_of_a_test_by_the_host(small_cfg, classifier, inferencer, folder, tmp_path):
    """The judge is the host's loader and test step, on the same images as a table of labels."""
    init_default_scope('mmpretrain')
    found = inferencer(folder, batch_size=2)
    table = pandas.DataFrame(dict(image=names(found), labels='crack'))
    table.to_csv(tmp_path / 'table.csv', index=False)
    loader = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        dataset=dict(
            type='TableMultiLabel',
            data_root=str(folder),
            ann_file=str(tmp_path / 'table.csv'),
            label_column='labels',
            metainfo=dict(classes=LABELS),
            pipeline=small_cfg.test_dataloader.dataset.pipeline,
            test_mode=True,
        ),
    )
    (batch,) = Runner.build_dataloader(loader)
    with torch.no_grad():
        expected = classifier.test_step(batch)
    assert len(expected) == 4
    for prediction, sample in zip(found.images, expected):
        np.testing.assert_allclose(prediction.scores, sample.pred_score, atol=1e-5)
        assert set(prediction.labels) == {LABELS[k] for k in sample.pred_label}


def test_a_device_that_is_not_there(small_cfg, save_checkpoint):
    with pytest.raises(ValueError, match='cannot run on the device cuda:99: '):
        KMCLInferencer(small_cfg, save_checkpoint(), device='cuda:99')


def test_a_folder_with_a_broken_image(inferencer, folder):
    predictions = inferencer(folder, with_progress=False)
    assert names(predictions) == ['a.jpg', 'b.png', 'c.jpg', 'more/d.JPG']
    (skipped,) = predictions.skipped
    assert skipped.source == str(folder / 'broken.jpg') and 'the end of the file is missing' in skipped.reason


def test_one_image_a_list_a_pattern_and_an_array(inferencer, folder):
    array = cv2.imread(str(folder / 'b.png'))
    (expected,) = inferencer(folder / 'b.png').images
    ways = dict(
        string=(inferencer(str(folder / 'b.png')), 0),
        list=(inferencer([str(folder / 'a.jpg'), folder / 'b.png', folder / 'b.png']), 2),
        pattern=(inferencer(f'{folder}/*.png'), 0),
        bgr=(inferencer(array), 0),
        rgb=(inferencer([array[..., ::-1]], channel_order='rgb'), 0),
    )
    for predictions, place in ways.values():
        np.testing.assert_allclose(predictions.images[place].scores, expected.scores, atol=1e-6)
    assert ways['bgr'][0].images[0].source == 'array 0'
    assert names(inferencer(f'{folder}/**/*.[jJ]*')) == ['a.jpg', 'c.jpg', 'more/d.JPG']
    assert abs(inferencer(array, channel_order='rgb').images[0].scores - expected.scores).max() > 1e-4


def test_labels_by_thresholds_and_by_number(small_cfg, save_checkpoint, inferencer, folder):
    (image,) = inferencer(folder / 'a.jpg').images
    assert image.labels == {name: score for name, score in zip(LABELS, image.scores.tolist()) if score >= 0.5}
    (at_all,) = inferencer(folder / 'a.jpg', thr=0).images
    assert list(at_all.labels.values()) == sorted(image.scores.tolist(), reverse=True)
    (two,) = inferencer(folder / 'a.jpg', topk=2).images
    assert list(two.labels) == list(at_all.labels)[:2]
    (one,) = inferencer(folder / 'a.jpg', thr=dict(leak=0, crack=1, rust=1)).images
    assert list(one.labels) == ['leak']
    # Thresholds that were fitted are used without being asked for.
    fitted = save_checkpoint(thresholds=dict(zip(LABELS, (1.0, 0.0, 1.0))))
    assert list(KMCLInferencer(small_cfg, fitted)(folder / 'a.jpg').images[0].labels) == ['rust']


def test_uncertainty_and_embedding(inferencer, classifier, folder):
    """By the definition, in float64 and without logarithms."""
    (image,) = inferencer(folder / 'a.jpg', with_embedding=True).images
    assert inferencer(folder / 'a.jpg').images[0].embedding is None and image.embedding.shape == (128,)
    embedding = torch.from_numpy(image.embedding).double()
    head = classifier.head.double()
    mean, raw = head.mean(embedding).view(128, 3), head.variance(embedding).view(128, 3)
    variance = torch.where(raw > 0, 2 + raw, 1 + raw.exp())
    kernels = (-((embedding[:, None] - mean) ** 2 / variance).sum(0) / 2).exp()
    scores = torch.from_numpy(image.scores).double()
    head.float()
    responsibility = scores * kernels / (scores * kernels).sum()
    assert image.uncertainty == pytest.approx(entropy(responsibility.detach().numpy()), abs=1e-4)


@pytest.mark.parametrize('slopes', [(0.6,), (0.6, 0.4, 0.3)])
def test_a_calibrated_checkpoint(small_cfg, classifier, save_calibrated, folder, slopes):
    inferencer = KMCLInferencer(small_cfg, save_calibrated(*slopes), fuse=False)
    found = inferencer(folder, with_embedding=True)
    calibration = inferencer.model.head.calibration
    for image in found.images:
        batch = default_collate([inferencer.pipeline(image.source)])
        with torch.inference_mode():
            features = classifier.extract_feat(classifier.data_preprocessor(batch)['inputs'])
            logits = classifier.head(features)
            descriptions = descriptions_of(classifier.head, features, logits)
            scores = calibration(logits, *descriptions).sigmoid()
        np.testing.assert_allclose(image.scores, scores[0], atol=1e-5)
        assert set(image.labels) == {name for k, name in enumerate(LABELS) if scores[0, k] >= (0.25, 0.5, 0.75)[k]}
        if len(slopes) == 1:
            assert image.voters == []
            continue
        shares, places = calibration.voters(8, calibration.neighbours(*descriptions))
        assert [voter.name for voter in image.voters] == [f'train/{place}.jpg' for place in places[0].tolist()]
        assert [voter.share for voter in image.voters] == pytest.approx(shares[0].tolist(), abs=1e-4)
        labels = [[LABELS[k] for k in np.flatnonzero(calibration.target[place] == 1)] for place in places[0]]
        assert [voter.labels for voter in image.voters] == labels


@pytest.mark.parametrize('ending', ['csv', 'json', 'parquet'])
def test_a_table_names_the_voters(small_cfg, save_calibrated, folder, tmp_path, ending):
    inferencer = KMCLInferencer(small_cfg, save_calibrated(0.6, 0.4, 0.3))
    found, path = inferencer(folder), tmp_path / f'table.{ending}'
    write_predictions(found, LABELS, path)
    table = getattr(pandas, f'read_{ending}')(path)
    voters = [[voter.name for voter in image.voters] for image in found.images]
    read = table['voters'][: len(voters)].tolist()
    assert (read if ending == 'json' else [names.split('|') for names in read]) == voters
    assert table['voters'][len(voters) :].isna().all() and len(table) == len(voters) + 1


def test_labels_are_named_without_test_images(classifier):
    checkpoint = dict(meta=dict(dataset_meta=dict(classes=LABELS)))
    assert label_names(checkpoint, 'best.pth', Config(dict(test_dataloader=None)), classifier.head) == list(LABELS)


def test_indecision_is_that_of_the_nearest_score(inferencer, folder):
    (image,) = inferencer(folder / 'a.jpg').images
    (at,) = inferencer(folder / 'a.jpg', thr=dict(crack=1, rust=float(image.scores[1]), leak=0)).images
    assert at.indecision == pytest.approx(1, abs=1e-5)
    (below,) = inferencer(folder / 'a.jpg', thr=1.0).images
    assert below.indecision == pytest.approx(image.scores.max(), abs=1e-5)
    first, second, _ = sorted(image.scores.tolist(), reverse=True)
    (two,) = inferencer(folder / 'a.jpg', topk=1).images
    middle = (first + second) / 2
    expected = 1 - (first - second) / 2 / max(1 - middle, middle)
    assert two.indecision == pytest.approx(expected, abs=1e-5)
    assert inferencer(folder / 'a.jpg', topk=3).images[0].indecision == 0


@pytest.mark.parametrize(
    'head, length',
    [
        (dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=96), 96),
        # Its kernels are the same for all labels: their entropy would be that of the scores alone.
        (
            dict(
                type='KMCLHead',
                kernels='embedding',
                num_classes=3,
                in_channels=96,
                embedding_channels=16,
                loss=dict(type='KMCLLoss', reconstruction_weight=0),
            ),
            16,
        ),
    ],
)
def test_a_head_without_kernels_of_the_labels_has_no_uncertainty(small_cfg, folder, tmp_path, head, length):
    from mmpretrain.apis import get_model

    cfg = copy.deepcopy(small_cfg)
    cfg.model.head = head
    path = tmp_path / 'model.pth'
    torch.save(dict(state_dict=get_model(cfg).state_dict(), meta=dict(dataset_meta=dict(classes=LABELS))), path)
    (image,) = KMCLInferencer(cfg, path)(folder / 'a.jpg', with_embedding=True).images
    assert image.uncertainty is None and image.embedding.shape == (length,)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(thr=1.5), r'`thr`.*\[0, 1\].*1.5'),
        (dict(thr=dict(crack=0.5)), '`thr`.*crack.*rust'),
        (dict(topk=4), r'`topk`.*\[1, 3\].*4'),
        (dict(topk=1, thr=0.5), '`thr` and `topk`'),
        (dict(channel_order='bgra'), '`channel_order`.*bgra'),
        (dict(inputs='nowhere/*.jpg'), 'no image or folder nowhere/'),
        (dict(inputs=np.zeros((4, 4), np.uint8)), r'\(H, W, 3\).*\(4, 4\)'),
        (dict(inputs=np.zeros((4, 4, 3), np.float32)), 'uint8.*float32'),
        (dict(inputs=[3]), '`inputs`.*int'),
    ],
)
def test_arguments_out_of_range(inferencer, folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        inferencer(**{'inputs': folder / 'a.jpg', **arguments})


def test_a_folder_without_images(inferencer, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty has no images'):
        inferencer(tmp_path / 'empty')


@pytest.mark.parametrize(
    'meta, message',
    [
        (dict(dataset_meta=None), 'model.pth has no label names .*dataset_meta / classes'),
        (dict(dataset_meta=dict(classes=('a', 'b'))), 'model.pth names 2 labels, .*but the head has 3'),
        (
            dict(dataset_meta=dict(classes=('a', 'b', 'c'))),
            r"labels of .*model.pth, \['a'.*are not those of the configuration, \['crack'",
        ),
    ],
)
def test_a_checkpoint_of_other_labels(small_cfg, save_checkpoint, meta, message):
    with pytest.raises(ValueError, match=message):
        KMCLInferencer(small_cfg, save_checkpoint(**meta))


def test_a_checkpoint_that_runs_code_is_refused(small_cfg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth.*could run code'):
        KMCLInferencer(small_cfg, 'bad.pth')
    assert not (tmp_path / 'pwned').exists()


def test_images_of_several_sizes_without_a_resize(small_cfg, save_checkpoint, folder):
    cfg = copy.deepcopy(small_cfg)
    cfg.test_dataloader.dataset.pipeline = [dict(type='PackInputs')]
    with pytest.raises(ValueError, match='images of several sizes: .*a.jpg has 80 x 120.*Add a Resize'):
        KMCLInferencer(cfg, save_checkpoint())(folder)
    assert len(KMCLInferencer(cfg, save_checkpoint())(folder, batch_size=1).images) == 4


@pytest.mark.parametrize('ending', ['csv', 'json', 'parquet'])
@pytest.mark.parametrize('with_embedding', [False, True])
def test_tables_are_read_back(inferencer, folder, tmp_path, ending, with_embedding):
    predictions = inferencer(folder, with_embedding=with_embedding, thr=0)
    path = tmp_path / f'new/table.{ending}'
    write_predictions(predictions, inferencer.classes, path)
    table = getattr(pandas, f'read_{ending}')(path)
    assert len(table) == 5 and table['skipped'].notna().sum() == 1
    assert table['image'].tolist() == [*(image.source for image in predictions.images), str(folder / 'broken.jpg')]
    scores = table[[f'score/{name}' for name in LABELS]].to_numpy(float)
    np.testing.assert_allclose(scores[:4], np.stack([image.scores for image in predictions.images]), rtol=1e-6)
    assert np.isnan(scores[4]).all()
    labels = table['labels'][0] if ending == 'json' else table['labels'][0].split('|')
    assert labels == list(predictions.images[0].labels) and set(labels) == set(LABELS)
    assert sum(name.startswith('embedding/') for name in table) == (128 if with_embedding else 0)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_table_of_another_kind(inferencer, folder, tmp_path):
    with pytest.raises(ValueError, match='`path`.*.csv.*table.xlsx'):
        write_predictions(inferencer(folder), LABELS, tmp_path / 'table.xlsx')
    assert list(tmp_path.glob('table*')) == []


def test_it_is_an_inferencer_of_mmpretrain(small_cfg, save_checkpoint, folder):
    """Users of MMPretrain know device, batch_size, data samples, the model and its configuration."""
    inferencer = KMCLInferencer(small_cfg, save_checkpoint(), device='cpu')
    assert isinstance(inferencer, BaseInferencer) and not inferencer.model.training
    assert next(inferencer.model.parameters()).device == torch.device('cpu')
    assert inferencer.config.model.head.type == 'KMCLHead'
    assert 'kmcl_tresnet_l_coco' in inferencer.list_models('kmcl*')
    expected = inferencer(folder, with_embedding=True).images
    samples = inferencer(folder, return_datasamples=True, batch_size=3, with_embedding=True)
    assert len(samples) == len(expected) == 4
    for sample, prediction in zip(samples, expected):
        assert isinstance(sample, DataSample) and sample.img_path == prediction.source
        np.testing.assert_allclose(sample.pred_score, prediction.scores, atol=1e-6)
        assert {LABELS[k] for k in sample.pred_label} == set(prediction.labels)
        np.testing.assert_allclose(sample.embedding, prediction.embedding, atol=1e-5)
    assert [len(sample.pred_label) for sample in inferencer(folder, return_datasamples=True, topk=2)] == [2] * 4


STORAGE_ERRORS = [
    ConnectionError('reset by peer'),
    PermissionError(13, 'Permission denied'),
    OSError(24, 'Too many open files'),
    MemoryError(),
]


@pytest.mark.parametrize('error', STORAGE_ERRORS, ids=repr)
@pytest.mark.parametrize('loading', ['LoadCheckedImage', 'mmcv.LoadImageFromFile'])
def test_an_error_of_the_storage_is_not_one_of_the_image(
    small_cfg, save_checkpoint, folder, monkeypatch, loading, error
):
    """Whoever skips images goes on without most of them while the storage is down."""
    cfg = copy.deepcopy(small_cfg)
    cfg.test_dataloader.dataset.pipeline[0] = dict(type=loading)
    inferencer = KMCLInferencer(cfg, save_checkpoint())
    read = LocalBackend.get

    def fail(backend, path):
        if str(path).endswith('b.png'):
            raise error
        return read(backend, path)

    monkeypatch.setattr(LocalBackend, 'get', fail)
    with pytest.raises(type(error)):
        inferencer(folder)


def test_mmcvs_loading_skips_broken_and_missing_images(small_cfg, save_checkpoint, folder, monkeypatch):
    cfg = copy.deepcopy(small_cfg)
    for backend in ('cv2', 'pillow'):
        cfg.test_dataloader.dataset.pipeline[0] = dict(type='mmcv.LoadImageFromFile', imdecode_backend=backend)
        inferencer = KMCLInferencer(cfg, save_checkpoint())
        (folder / 'broken.jpg').write_bytes(b'no image')
        (folder / 'empty.jpg').write_bytes(b'')
        monkeypatch.setattr('kmcl_mm.apps.inference.inferencer.find_sources', lambda inputs: inputs)
        sources = [str(folder / name) for name in ('a.jpg', 'broken.jpg', 'empty.jpg', 'gone.jpg')]
        predictions = inferencer(sources)
        assert len(predictions.images) == 1
        assert [skipped.source for skipped in predictions.skipped] == sources[1:]
        assert all(skipped.reason for skipped in predictions.skipped)


def test_a_file_name_that_is_not_utf_8_loses_no_table(inferencer, folder, tmp_path):
    name = os.fsdecode(bytes(folder / 'Stra') + b'\xdfe.png')
    shutil.copy(folder / 'b.png', name)
    for ending in ('csv', 'json', 'parquet'):
        write_predictions(inferencer(folder), LABELS, tmp_path / f'table.{ending}')
        table = getattr(pandas, f'read_{ending}')(tmp_path / f'table.{ending}')
        assert str(folder / r'Stra\udcdfe.png') in table['image'].tolist()
