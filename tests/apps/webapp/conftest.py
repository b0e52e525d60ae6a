"""A small classifier with an index of its training images, and the page that shows them."""

import socket

import cv2
import numpy as np
import pytest
import torch

from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.inference.indexing import build_index
from kmcl_mm.apps.webapp.page import Page
from kmcl_mm.apps.webapp.server import running_page
from tests.apps.inference.conftest import LABELS, classifier, small_cfg, training_cfg  # noqa: F401

# Fitted thresholds of the checkpoint.
THRESHOLDS = dict(zip(LABELS, (0.2, 0.6, 0.9)))


@pytest.fixture(scope='session')
def checkpoint(classifier, tmp_path_factory):  # noqa: F811
    """A checkpoint with a fitted threshold for each label."""
    path = tmp_path_factory.mktemp('checkpoint') / 'model.pth'
    meta = dict(dataset_meta=dict(classes=LABELS), thresholds=THRESHOLDS)
    torch.save(dict(state_dict=classifier.state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope='session')
def inferencer(training_cfg, checkpoint):  # noqa: F811
    return KMCLInferencer(training_cfg, checkpoint)


@pytest.fixture(scope='session')
def index(inferencer):
    return build_index(inferencer)[0]


@pytest.fixture(scope='session')
def page(inferencer, index):
    return Page(inferencer, index)


@pytest.fixture
def photo(tmp_path):
    """Path of a JPEG of 240 x 180 pixels."""
    path = tmp_path / 'photo.jpg'
    coarse = np.random.default_rng(5).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (240, 180)))
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture(scope='module')
def served(inferencer, index):
    """The running page, which takes uploads of up to 0.5 MB."""
    with running_page(inferencer, index, free_port(), max_upload_mb=0.5, title='Small <b>model</b>') as blocks:
        yield blocks
