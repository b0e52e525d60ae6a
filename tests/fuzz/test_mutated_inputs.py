"""1,000 mutated inputs: each loads correctly or is refused with a clear error, in time and without taking memory."""

import pytest

from .kinds import KINDS
from .target import LOADED, REFUSED, run


def test_there_are_1000():
    assert sum(kind.number for kind in KINDS) == 1000


@pytest.mark.parametrize('kind', KINDS, ids=[kind.name for kind in KINDS])
def test_each_loads_correctly_or_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcomes = run(kind(tmp_path))
    wrong = {number: outcome for number, outcome in outcomes.items() if outcome.kind not in (LOADED, REFUSED)}
    details = [f'{kind.name} {number}: {outcome.kind}\n{outcome.detail}' for number, outcome in wrong.items()]
    assert not wrong, '\n'.join(details)
    assert {outcome.kind for outcome in outcomes.values()} >= {LOADED}
    assert not (tmp_path / 'pwned').exists()
