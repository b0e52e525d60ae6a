"""A training that is killed while it validates, and resumed, against one that was not disturbed."""

import pytest

from tests.kill_training import differences, finish, results, short_config, start


@pytest.mark.parametrize('epoch, rule', [(1, 'greater'), (2, 'greater'), (2, 'less')])
def test_the_validation_is_made_up_for(tmp_path, epoch, rule):
    """Of the first epoch, whose metric is the best so far, and of the last, after which no training is left to do.

    By one of the rules the metric of the last epoch is the best so far.
    """
    settings = {'default_hooks.checkpoint.rule': rule}
    whole, killed = (short_config(tmp_path / name, 0, scenes=24, epochs=2, **settings) for name in ('whole', 'killed'))
    assert finish(start(whole)) == 0
    dying = short_config(tmp_path / 'killed', 0, scenes=24, epochs=2, **settings)
    dying.custom_hooks.append(dict(type='DieWhileValidating', epoch=epoch))
    assert finish(start(dying)) == -9
    assert not list((tmp_path / 'killed').glob(f'best_*_epoch_{epoch}.pth'))
    assert finish(start(killed, resume=True)) == 0
    assert f'Validating epoch {epoch} before going on' in (tmp_path / 'killed/output.txt').read_text()
    assert differences(results(tmp_path / 'whole', 2), results(tmp_path / 'killed', 2)) == []
