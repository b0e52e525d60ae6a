"""Print what becomes of the 1,000 inputs: python -m tests.fuzz."""

import argparse
import logging
import tempfile
import time
from collections import Counter
from pathlib import Path

from .kinds import KINDS
from .target import LOADED, REFUSED, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kind', choices=[kind.name for kind in KINDS], help='one kind of input (all)')
    parser.add_argument('--messages', action='store_true', help='print what each refusal says')
    args = parser.parse_args()
    logging.disable()
    total = Counter()
    print(f'{"kind":20}{"inputs":>8}{"loaded":>8}{"refused":>9}{"wrong":>7}{"seconds":>9}{"most MiB":>10}')
    for kind in KINDS:
        if args.kind not in (None, kind.name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            outcomes = run(kind(Path(folder)))
        counts = Counter(outcome.kind for outcome in outcomes.values())
        row = dict(inputs=len(outcomes), loaded=counts[LOADED], refused=counts[REFUSED])
        row.update(wrong=row['inputs'] - row['loaded'] - row['refused'])
        total.update(row)
        memory = max(outcome.mebibytes for outcome in outcomes.values())
        print(_line(kind.name, row) + f'{time.perf_counter() - start:9.1f}{memory:10.0f}', flush=True)
        for number, outcome in outcomes.items():
            if outcome.kind not in (LOADED, REFUSED) or (args.messages and outcome.kind == REFUSED):
                print(f'  {kind.name} {number}: {outcome.kind}\n{outcome.detail}')
    print(_line('all', total))


def _line(name: str, row: dict) -> str:
    return f'{name:20}{row["inputs"]:8}{row["loaded"]:8}{row["refused"]:9}{row["wrong"]:7}'


if __name__ == '__main__':
    main()
