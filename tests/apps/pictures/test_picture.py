import numpy as np
import pytest
import torch

from kmcl_mm.apps.pictures import draw_cooccurrence, draw_label_counts, draw_prediction_grid, draw_sample_grid
from kmcl_mm.evaluation import PerLabelAP

# Between two of them matplotlib reads a formula, and cannot read this one.
NAMES = ['a$b_$c', 'cost$$']
IMAGES = [np.zeros((8, 8, 3), np.uint8)] * 2
CHOSEN = np.eye(2, dtype=bool)


@pytest.mark.parametrize(
    'draw',
    [
        lambda path: draw_sample_grid(IMAGES, [None] * 2, [NAMES, []], NAMES[0], path),
        lambda path: draw_prediction_grid(IMAGES, CHOSEN / 2, CHOSEN, CHOSEN.astype(int), NAMES, NAMES[0], path),
        lambda path: draw_label_counts({'train': np.ones(2) / 2}, {'train': np.ones(2)}, NAMES, path),
        lambda path: draw_cooccurrence(np.eye(2), NAMES, 'train', path),
    ],
)
def test_names_may_have_dollars(tmp_path, draw):
    draw(tmp_path / 'picture.png')
    assert (tmp_path / 'picture.png').is_file()


def test_names_in_the_picture_of_average_precision_may_have_dollars(tmp_path):
    metric = PerLabelAP(out_dir=str(tmp_path))
    metric.dataset_meta = dict(classes=NAMES)
    metric.process(None, [dict(pred_score=row, gt_score=row) for row in torch.eye(2)])
    metric.evaluate(2)
    assert list(tmp_path.glob('*.png'))
