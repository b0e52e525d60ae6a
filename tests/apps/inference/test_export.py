import json
import re
import shutil
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.inference import export as exporting
from kmcl_mm.apps.inference.export import METADATA_FILE, export, metadata_of
from kmcl_mm.apps.inference.preprocessing import Preprocessing
from tests.apps.inference.conftest import LABELS
from tests.conftest import ROOT


def scores_of(path, images):
    """Scores (N, K) and metadata, by the runtime the file is for."""
    if path.suffix == '.pt2':
        files = {METADATA_FILE: ''}
        program = torch.export.load(path, extra_files=files)
        return program.module()(torch.from_numpy(images)).detach().numpy(), json.loads(files[METADATA_FILE])
    runtime = pytest.importorskip('onnxruntime', reason='onnxruntime, the judge of ONNX files, is not installed')
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])
    properties = session.get_modelmeta().custom_metadata_map
    return session.run(['scores'], dict(images=images))[0], {key: json.loads(properties[key]) for key in properties}


def needs_onnx(ending):
    if ending == 'onnx':
        pytest.importorskip('onnx', reason='onnx is not installed')


def prepared(source, cfg, metadata):
    """An image as a runtime prepares it from the metadata alone, after the pipeline's resize."""
    image = default_collate([Preprocessing(cfg)(source)])['inputs'].numpy().astype(np.float32)
    assert image.shape[2:] == (metadata['height'], metadata['width'])
    if metadata['channel_order'] == 'rgb':
        image = image[:, ::-1]
    mean, std = (np.array(metadata[key], np.float32)[:, None, None] for key in ('mean', 'std'))
    return np.ascontiguousarray((image - mean) / std)


@pytest.mark.parametrize('ending', ['onnx', 'pt2'])
def test_scores_equal_the_inferencers(small_cfg, classifier, save_checkpoint, folder, tmp_path, ending):
    """On files, with no more than what the file says; in batches of one and of all."""
    needs_onnx(ending)
    checkpoint = save_checkpoint(thresholds=dict(zip(LABELS, (0.25, 0.5, 0.75))))
    inferencer = KMCLInferencer(small_cfg, checkpoint, fuse=False)
    path = tmp_path / f'new/model.{ending}'
    export(inferencer.model, metadata_of(inferencer.model, small_cfg, LABELS), path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]

    found = inferencer(folder)
    _, metadata = scores_of(path, np.zeros((1, 3, 64, 64), np.float32))
    assert metadata['labels'] == list(LABELS) and metadata['thresholds'] == [0.25, 0.5, 0.75]
    images = [prepared(image.source, small_cfg, metadata) for image in found.images]
    expected = np.stack([image.scores for image in found.images])
    np.testing.assert_allclose(scores_of(path, np.concatenate(images))[0], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(scores_of(path, images[1])[0], expected[1:2], rtol=0, atol=1e-4)


@pytest.mark.parametrize('slopes', [(0.6,), (0.6, 0.4, 0.3)])
@pytest.mark.parametrize('ending', ['onnx', 'pt2'])
def test_a_file_has_the_calibration_and_the_votes(small_cfg, save_calibrated, folder, tmp_path, ending, slopes):
    needs_onnx(ending)
    inferencer = KMCLInferencer(small_cfg, save_calibrated(*slopes), fuse=False)
    path = tmp_path / f'model.{ending}'
    assert export(inferencer.model, metadata_of(inferencer.model, small_cfg, LABELS), path) is None
    found = inferencer(folder)
    _, metadata = scores_of(path, np.zeros((1, 3, 64, 64), np.float32))
    images = [prepared(image.source, small_cfg, metadata) for image in found.images]
    expected = np.stack([image.scores for image in found.images])
    np.testing.assert_allclose(scores_of(path, np.concatenate(images))[0], expected, rtol=0, atol=1e-4)
    # In memory as before.
    np.testing.assert_array_equal(np.stack([image.scores for image in inferencer(folder).images]), expected)


def test_the_program_in_the_docs(small_cfg, classifier, save_checkpoint, folder, tmp_path, monkeypatch):
    """Without the package: labels and scores of an image from the file alone."""
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package)
    inferencer = KMCLInferencer(small_cfg, save_checkpoint(thresholds=dict(zip(LABELS, (0.25, 0.5, 0.75)))))
    export(inferencer.model, metadata_of(inferencer.model, small_cfg, LABELS), tmp_path / 'model.onnx')
    shutil.copy(folder / 'a.jpg', tmp_path / 'photo.jpg')
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(
        r'```python\n(import json.*?)```', (ROOT / 'docs/inference.md').read_text(), flags=re.DOTALL
    )
    names = {}
    exec(program, names)
    (image,) = inferencer('photo.jpg').images
    np.testing.assert_allclose(names['scores'][0], image.scores, rtol=0, atol=1e-4)
    assert set(names['labels']) == set(image.labels)


def test_a_pipeline_without_a_resize(small_cfg, classifier):
    cfg = small_cfg.__class__(dict(test_dataloader=dict(dataset=dict(pipeline=[dict(type='PackInputs')]))))
    with pytest.raises(ValueError, match='images of several sizes: .*300, 500.*Add a Resize'):
        metadata_of(classifier, cfg, LABELS)


def test_a_file_of_another_kind(small_cfg, classifier, tmp_path):
    with pytest.raises(ValueError, match='`path`.*.onnx, .pt2.*model.engine'):
        export(classifier, metadata_of(classifier, small_cfg, LABELS), tmp_path / 'model.engine')


SWIN = dict(embed_dims=24, depths=[2, 2], num_heads=[2, 4])


@pytest.fixture(scope='module')
def swin():
    """MMPretrain's Swin, whose windows an exporter cuts for the batch that it sees."""
    init_default_scope('mmpretrain')
    backbone = dict(type='SwinTransformer', arch=dict(SWIN), img_size=64, window_size=4, out_indices=(1,))
    head = dict(type='KMCLHead', num_classes=3, in_channels=48, embedding_channels=4)
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'), head=head)
    )
    model.init_weights()
    # As after a training: positions matter.
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, std=0.5) if 'relative_position_bias' in name or 'logits' in name else None
    return model.eval()


@pytest.mark.parametrize('ending', ['onnx', 'pt2'])
def test_a_network_whose_batch_is_traced_is_written_for_one_image(small_cfg, swin, tmp_path, ending):
    needs_onnx(ending)
    path = tmp_path / f'model.{ending}'
    batch_size = export(swin, metadata_of(swin, small_cfg, LABELS), path)
    images = np.random.default_rng(0).normal(size=(batch_size or 4, 3, 64, 64)).astype(np.float32)
    scores, metadata = scores_of(path, images)
    assert metadata['batch_size'] == batch_size
    with torch.no_grad():
        expected = swin.head(swin.extract_feat(torch.from_numpy(images))).sigmoid().numpy()
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize('ending', ['onnx', 'pt2'])
def test_a_file_that_gives_other_scores_is_refused(small_cfg, classifier, tmp_path, monkeypatch, ending):
    """Nothing is left behind."""
    needs_onnx(ending)
    other = np.full((1, 3), 0.123, np.float32)
    monkeypatch.setattr(exporting, f'_run_{ending}', lambda path, images: other.repeat(len(images), axis=0))
    with pytest.raises(ValueError, match='any number of images, the scores of 1 images differ.*for one image, the'):
        export(classifier, metadata_of(classifier, small_cfg, LABELS), tmp_path / f'model.{ending}')
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_exported(small_cfg, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, '_write_pt2', mock.Mock(side_effect=RuntimeError('no such operation\nmore')))
    with pytest.raises(ValueError, match='exported to .pt2: for any number of images, no such operation; for one'):
        export(classifier, metadata_of(classifier, small_cfg, LABELS), tmp_path / 'model.pt2')
    assert list(tmp_path.iterdir()) == []
