"""Predictions as a table in a file."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...files import atomic_write
from .inferencer import Prediction, Predictions

ENDINGS = ('.csv', '.json', '.parquet')


def write_predictions(predictions: Predictions, names: Sequence[str], path: str | Path) -> None:
    """Write predictions as a table with one row per image, skipped ones included.

    Its columns are ``image``, ``labels`` (names joined by '|', as TableMultiLabel reads them; a list in JSON),
    ``indecision``, ``uncertainty``, ``skipped`` (why an image was skipped), ``score/NAME`` for each label, and, with
    embeddings, ``embedding/0``, ``embedding/1`` and so on. Without one kernel per label ``uncertainty`` is empty. Of a
    checkpoint with a memory there is ``voters`` as well: the training images with the most weight, in the form of the
    labels.

    Args:
        predictions: The predictions.
        names: Names of the K labels.
        path: The file to write, ending in .csv, .json or .parquet; it is written atomically.

    Raises:
        ValueError: The path has another ending.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f'Expected argument `path` to end in one of {", ".join(ENDINGS)}, but got {path}.')
    rows = [_row(prediction, names) for prediction in predictions.images]
    rows += [dict(image=_as_text(skipped.source), skipped=skipped.reason) for skipped in predictions.skipped]
    first = rows[0] if rows else {}
    columns = ['image', 'labels', 'indecision', 'uncertainty', *(name for name in first if name == 'voters'), 'skipped']
    columns += [*(f'score/{name}' for name in names), *(name for name in first if name.startswith('embedding/'))]
    texts = ('image', 'labels', 'voters', 'skipped')
    with atomic_write(path) as unfinished:
        if path.suffix == '.json':
            _write_json(rows, unfinished)
            return
        table = pd.DataFrame(rows, columns=columns).astype({name: float for name in columns if name not in texts})
        for name in {'labels', 'voters'} & set(columns):
            table[name] = table[name].map('|'.join, na_action='ignore')
        if path.suffix == '.csv':
            table.to_csv(unfinished, index=False)
        else:
            table.to_parquet(unfinished, index=False)


def _row(prediction: Prediction, names: Sequence[str]) -> dict:
    embedding = () if prediction.embedding is None else prediction.embedding.tolist()
    return dict(
        image=_as_text(prediction.source),
        labels=list(prediction.labels),
        indecision=prediction.indecision,
        uncertainty=prediction.uncertainty,
        **(dict(voters=[_as_text(voter.name) for voter in prediction.voters]) if prediction.voters else {}),
        skipped=None,
        **{f'score/{name}': score for name, score in zip(names, prediction.scores.tolist())},
        **{f'embedding/{m}': value for m, value in enumerate(embedding)},
    )


def _as_text(path: str) -> str:
    """A path in which bytes that are not UTF-8, which no table can have, are escapes."""
    return path.encode(errors='backslashreplace').decode()


def _write_json(rows: list[dict], path: Path) -> None:
    with path.open('w', encoding='utf-8') as file:
        json.dump(rows, file, ensure_ascii=False, indent=1)
