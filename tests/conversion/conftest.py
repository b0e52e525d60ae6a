"""A small model and its weights as the published code has them."""

import pytest

import kmcl_mm
from tests.conversion.published import published_checkpoint

DIGITS = 'kmcl_tresnet_m_digits'


@pytest.fixture(scope='session')
def small_model():
    return kmcl_mm.get_model(DIGITS)


@pytest.fixture(scope='session')
def published(small_model):
    return published_checkpoint(small_model)
