"""A quick form of ``python -m tests.kill_training``."""

import pytest

from tests.kill_training import differences, finish, kill_and_resume, results, short_config, start

EPOCHS = 2


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
    """What an undisturbed training ends with."""
    work_dir = tmp_path_factory.mktemp('whole') / 'run'
    assert finish(start(short_config(work_dir, scenes=48, epochs=EPOCHS))) == 0
    return results(work_dir, EPOCHS)


@pytest.mark.parametrize('kind', ['while writing', 'data worker'])
def test_a_killed_training_ends_as_an_undisturbed_one(expected, tmp_path, kind):
    row = kill_and_resume(short_config(tmp_path / 'killed', scenes=48, epochs=EPOCHS), kind, delay=0)
    assert row['when'] is not None and row['status'] != 0
    assert differences(expected, row['results']) == []
