"""What the examples in docstrings need, wherever they are."""

import logging

import pytest


@pytest.fixture(autouse=True)
def no_messages_in_examples(request):
    """Keep the host's messages out of the output of an example, whether or not a test before it set a level."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)
