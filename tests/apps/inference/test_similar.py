import copy
import io
import pickle
import sys
import zipfile

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend

from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.inference.indexing import build_index
from kmcl_mm.apps.inference.similar import ImageIndex, fingerprint_of, load_index
from kmcl_mm.apps.inference.thumbnails import thumbnail_of
from tests.apps.inference.conftest import LABELS
from tests.attacks import ATTACKS
from tests.conftest import ROOT
from tests.test_tools import run


def random_index(number=50, dimensions=16, seed=0):
    random = np.random.default_rng(seed)
    return ImageIndex(
        labels=LABELS,
        fingerprint='0' * 32,
        names=tuple(f'{place}.jpg' for place in range(number)),
        embeddings=random.normal(size=(number, dimensions)).astype(np.float32),
        target=random.integers(-1, 2, (number, len(LABELS)), dtype=np.int8),
        thumbnails=tuple(random.bytes(place) for place in range(number)),
        indecision=random.random(number, dtype=np.float32),
        uncertainty=np.full(number, np.nan, np.float32),
    )


def assert_equal(one, other):
    for name in ('embeddings', 'target', 'indecision', 'uncertainty'):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ('labels', 'fingerprint', 'names', 'thumbnails'):
        assert getattr(one, name) == getattr(other, name)


def test_an_index_has_what_the_inferencer_says_of_each_training_image(training_cfg, save_checkpoint):
    inferencer = KMCLInferencer(training_cfg, save_checkpoint())
    index, skipped = build_index(inferencer, batch_size=4)
    assert index.names == tuple(f'{number:02d}.jpg' for number in range(12) if number != 5)
    assert '05.jpg' in skipped[0].reason and len(skipped) == 1
    assert index.labels_of(3) == ['crack', 'rust', 'leak'] and index.labels_of(4) == []

    folder = f'{training_cfg.train_dataloader.dataset.data_root}/images'
    paths = [f'{folder}/{name}' for name in index.names]
    images = inferencer(paths, with_embedding=True, with_progress=False).images
    for place, image in enumerate(images):
        np.testing.assert_allclose(index.embeddings[place], image.embedding, atol=1e-4)
        assert index.indecision[place] == pytest.approx(image.indecision, abs=1e-5)
        assert index.uncertainty[place] == pytest.approx(image.uncertainty, rel=1e-4)
        # Each image is its own nearest one.
        assert index.nearest(image.embedding, 1)[0].tolist() == [place]


def test_thumbnails_are_small_pictures_of_the_images():
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (3, 3, 3), dtype=np.uint8), (800, 400))
    small = cv2.imdecode(np.frombuffer(thumbnail_of(image), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (80, 160, 3)
    assert np.abs(small.astype(int) - cv2.resize(image, (160, 80), interpolation=cv2.INTER_AREA)).mean() < 4
    assert cv2.imdecode(np.frombuffer(thumbnail_of(image[:1]), np.uint8), cv2.IMREAD_COLOR).shape == (1, 160, 3)


def test_images_that_a_data_set_draws(tmp_path):
    from mmpretrain.apis import get_model

    cfg = Config.fromfile(ROOT / 'configs/kmcl_tresnet_m_digits.py')
    cfg.model.backbone = dict(type='TIMMBackbone', model_name='test_resnet', features_only=False, pretrained=False)
    cfg.merge_from_dict({'model.head.in_channels': 96, 'train_dataloader.num_workers': 0})
    # A data set in a wrapper that shows each image thrice.
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=3, dataset=cfg.train_dataloader.dataset)
    cfg.train_dataloader.dataset.dataset.num_scenes = 6
    names = 'zero one two three four five six seven eight nine'.split()
    path = tmp_path / 'digits.pth'
    torch.save(dict(state_dict=get_model(cfg).state_dict(), meta=dict(dataset_meta=dict(classes=names))), path)
    index, _ = build_index(KMCLInferencer(cfg, path), num_images=4)
    assert len(index) == 4 and all(index.labels_of(place) for place in range(4))


def test_training_data_of_other_labels_are_refused(training_cfg, save_checkpoint):
    inferencer = KMCLInferencer(training_cfg, save_checkpoint())
    inferencer.config.train_dataloader.dataset.metainfo.classes = LABELS[::-1]
    with pytest.raises(ValueError, match='labels of the training data.*are not those of the checkpoint'):
        build_index(inferencer)


def test_neighbours_are_those_of_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    index = random_index(number=300, dimensions=32)
    queries = np.random.default_rng(7).normal(size=(20, 32)).astype(np.float32)
    distances, places = NearestNeighbors(n_neighbors=9).fit(index.embeddings).kneighbors(queries)
    for query, expected_places, expected_distances in zip(queries, places, distances):
        found_places, found_distances = index.nearest(query, 9)
        assert found_places.tolist() == expected_places.tolist()
        np.testing.assert_allclose(found_distances, expected_distances, rtol=1e-5)


def test_small_distances_between_long_embeddings_are_exact():
    index = random_index(number=3, dimensions=4)
    index.embeddings[:] = 1000 + np.array([[0.03], [0.01], [0.02]])
    places, distances = index.nearest(np.full(4, 1000, np.float32), 5)
    assert places.tolist() == [1, 2, 0]
    np.testing.assert_allclose(distances, [0.02, 0.04, 0.06], atol=3e-4)


@pytest.mark.parametrize('embedding, count', [(np.zeros(3), 1), (np.zeros(16), 0)])
def test_a_wrong_question_is_refused(embedding, count):
    with pytest.raises(ValueError, match='Expected argument `(embedding|count)`'):
        random_index().nearest(embedding, count)


def test_it_is_read_as_it_was_written(tmp_path):
    index, path = random_index(), tmp_path / 'index.npz'
    index.save(path)
    assert_equal(load_index(path, labels=LABELS, fingerprint='0' * 32), index)
    with pytest.raises(ValueError, match='another checkpoint or test pipeline'):
        load_index(path, fingerprint='1' * 32)
    with pytest.raises(ValueError, match=r'not those of the checkpoint, \[\'cat\'\]'):
        load_index(path, labels=['cat'])
    with pytest.raises(ValueError, match=r'to end in \.npz'):
        index.save(tmp_path / 'index.pkl')


def test_the_fingerprint_tells_trainings_and_pipelines_apart(training_cfg, save_checkpoint, tmp_path):
    inferencer = KMCLInferencer(training_cfg, save_checkpoint())
    with_thresholds = KMCLInferencer(training_cfg, save_checkpoint(thresholds=dict.fromkeys(LABELS, 0.3)))
    head = inferencer.model.head
    before = fingerprint_of(head, training_cfg)
    inferencer(np.zeros((64, 64, 3), np.uint8), with_progress=False)
    assert before == fingerprint_of(head, training_cfg) == fingerprint_of(with_thresholds.model.head, training_cfg)
    # The same from a file, whose keys have another order.
    training_cfg.dump(tmp_path / 'small.py')
    assert before == fingerprint_of(head, Config.fromfile(tmp_path / 'small.py'))
    other = Config(dict(training_cfg.to_dict()))
    other.test_dataloader.dataset.pipeline[1]['scale'] = (96, 96)
    assert before != fingerprint_of(head, other)
    other = Config(dict(training_cfg.to_dict(), data_preprocessor=dict(mean=[1.0, 2.0, 3.0], std=[1.0] * 3)))
    assert before != fingerprint_of(head, other)
    with torch.no_grad():
        next(head.parameters()).view(-1)[0] += 1e-3
    assert before != fingerprint_of(head, training_cfg)


def parts(**changed):
    stream = io.BytesIO()
    index = random_index()
    arrays = dict(
        format='kmcl_mm similar images 2',
        labels=np.array(index.labels),
        fingerprint=index.fingerprint,
        names=np.array(index.names),
        embeddings=index.embeddings,
        target=index.target,
        thumbnails=np.frombuffer(b''.join(index.thumbnails), np.uint8),
        thumbnail_ends=np.cumsum([len(jpeg) for jpeg in index.thumbnails]),
        indecision=index.indecision,
        uncertainty=index.uncertainty,
    )
    arrays.update(changed)
    np.savez(stream, **{name: value for name, value in arrays.items() if value is not None})
    return stream.getvalue()


def test_the_parts_of_an_index_are_one(tmp_path):
    """So that each part that is changed below is what makes a file no index."""
    (tmp_path / 'whole.npz').write_bytes(parts())
    assert_equal(load_index(tmp_path / 'whole.npz'), random_index())


def single_array():
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


def zipped(content, **settings):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', **settings) as archive:
        archive.writestr('names.npy', content)
    return stream.getvalue()


BROKEN = {
    'an entry that is no array': zipped(b'no array'),
    'an array with a broken header': zipped(b'\x93NUMPY\x01\x00\x06\x00{(((((' + bytes(20)),
    'compressed entries': zipped(bytes(10**6), compression=zipfile.ZIP_DEFLATED),
    'text': b'no index',
    'empty': b'',
    'one array': single_array(),
    'another npz': parts(format='something else'),
    'cut short': parts()[:3000],
    'without targets': parts(target=None),
    'too few targets': parts(target=np.zeros((3, 3), np.int8)),
    'embeddings in a row': parts(embeddings=np.zeros(50, np.float32)),
    'embeddings of text': parts(embeddings=np.full((50, 16), 'a')),
    'embeddings that are not finite': parts(embeddings=np.full((50, 16), np.nan, np.float32)),
    'thumbnails that end too late': parts(thumbnail_ends=np.arange(50) * 1000),
    'a pickle': pickle.dumps(ATTACKS[0]),
    'an array of objects': parts(names=np.array([ATTACKS[0]] * 50, dtype=object)),
    'a format of objects': parts(format=np.array(ATTACKS[0], dtype=object)),
}


@pytest.mark.parametrize('content', BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_index_is_refused_by_name(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'bad.npz'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'bad\.npz cannot be read as an index of similar images.*build_index\.py'):
        load_index(path)
    assert [file.name for file in tmp_path.iterdir()] == ['bad.npz']


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r'nothing\.npz.*No such file'):
        load_index(tmp_path / 'nothing.npz')


def test_the_tool(training_cfg, save_checkpoint, tmp_path):
    config, out = tmp_path / 'small.py', tmp_path / 'made/index.npz'
    training_cfg.dump(config)
    output = run(sys.executable, 'tools/build_index.py', config, save_checkpoint(), out, '--batch-size', 4)
    assert 'ETA' in output and 'Skipped 05.jpg: ' in output and f'Index of 11 images: {out}' in output
    assert len(load_index(out, labels=LABELS)) == 11

    bad = tmp_path / 'bad.pth'
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), bad)
    output = run(sys.executable, 'tools/build_index.py', config, bad, tmp_path / 'other.npz', expect=2)
    assert 'could run code' in output and 'Traceback' not in output
    assert not (ROOT / 'pwned').exists() and not (tmp_path / 'other.npz').exists()


@pytest.mark.parametrize('error', [ConnectionError('reset by peer'), OSError(24, 'Too many open files'), MemoryError()])
def test_an_error_of_the_storage_is_not_one_of_an_image(training_cfg, save_checkpoint, monkeypatch, error):
    cfg = copy.deepcopy(training_cfg)
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='mmcv.LoadImageFromFile')
    inferencer = KMCLInferencer(cfg, save_checkpoint())
    read = LocalBackend.get

    def fail(backend, path):
        if str(path).endswith('.jpg'):
            raise error
        return read(backend, path)

    monkeypatch.setattr(LocalBackend, 'get', fail)
    with pytest.raises(type(error)):
        build_index(inferencer)


def test_an_index_that_may_not_be_read_is_not_a_broken_one(tmp_path, monkeypatch):
    random_index().save(tmp_path / 'index.npz')

    def refuse(*_, **__):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(zipfile, 'ZipFile', refuse)
    with pytest.raises(PermissionError):
        load_index(tmp_path / 'index.npz')
