"""Predictions as a table in a file."""

import json
from pathlib import Path
from typing import Dict, List, Sequence, Union

import pandas as pd

from ..files import written_whole
from .inferencer import Prediction, Predictions

ENDINGS = ('.csv', '.json', '.parquet')


def write_predictions(predictions: Predictions, names: Sequence[str], path: Union[str, Path]) -> None:
    """Write predictions as a table with a row for each image, read or not.

    Its columns are ``image``, ``labels`` (names joined by '|', as the table data set reads them; a list in JSON),
    ``indecision``, ``uncertainty``, ``skipped`` (why an image could not be read), ``score/NAME`` for each label, and
    ``embedding/0`` and on where there are embeddings. A head without kernels leaves ``uncertainty`` empty.

    Args:
        predictions: The predictions.
        names: Names of the K labels.
        path: The file to write, ending in .csv, .json or .parquet; it is there whole or not at all.

    Raises:
        ValueError: The path has another ending.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f'Expected argument `path` to end in one of {", ".join(ENDINGS)}, but got {path}.')
    rows = [_row(prediction, names) for prediction in predictions.images]
    rows += [dict(image=skipped.source, skipped=skipped.reason) for skipped in predictions.skipped]
    columns = ['image', 'labels', 'indecision', 'uncertainty', 'skipped', *(f'score/{name}' for name in names)]
    columns += [name for name in (rows[0] if rows else ()) if name.startswith('embedding/')]
    with written_whole(path) as unfinished:
        if path.suffix == '.json':
            _write_json(rows, unfinished)
            return
        table = pd.DataFrame(rows, columns=columns).astype(
            {name: float for name in columns if name not in ('image', 'labels', 'skipped')}
        )
        table['labels'] = table['labels'].map('|'.join, na_action='ignore')
        if path.suffix == '.csv':
            table.to_csv(unfinished, index=False)
        else:
            table.to_parquet(unfinished, index=False)


def _row(prediction: Prediction, names: Sequence[str]) -> Dict:
    embedding = () if prediction.embedding is None else prediction.embedding.tolist()
    return dict(
        image=prediction.source,
        labels=list(prediction.labels),
        indecision=prediction.indecision,
        uncertainty=prediction.uncertainty,
        skipped=None,
        **{f'score/{name}': score for name, score in zip(names, prediction.scores.tolist())},
        **{f'embedding/{m}': value for m, value in enumerate(embedding)},
    )


def _write_json(rows: List[Dict], path: Path) -> None:
    with path.open('w', encoding='utf-8') as file:
        json.dump(rows, file, ensure_ascii=False, indent=1)
