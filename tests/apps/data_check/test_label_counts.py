import tracemalloc

import numpy as np

from kmcl_mm.apps.data_check.label_counts import count_labels
from kmcl_mm.apps.data_check.splits import Split

LABELS = [[0, 1], [1], [], [], [0, 1, 2], [7]]
UNJUDGED = [[], [0], [2], [], [], []]


def split():
    arrays = [[np.array(indices, int) for indices in column] for column in (LABELS, UNJUDGED)]
    return Split('train', ('a', 'b', 'c', 'd'), *arrays, [], None, [None] * len(LABELS))


def test_counts():
    counts = count_labels(split())
    assert counts.num_images == 6
    assert counts.positives.tolist() == [2, 3, 1, 0]
    assert counts.judged.tolist() == [5, 6, 5, 6]
    assert counts.labels_per_image.tolist() == [2, 1, 0, 0, 3, 1]
    assert counts.without_label == 1  # the third image's label is unknown
    np.testing.assert_allclose(counts.shares, [2 / 5, 3 / 6, 1 / 5, 0])


def test_together():
    counts = count_labels(split())
    pairs = [[sum({i, j} <= set(labels) for labels in LABELS) for j in range(4)] for i in range(4)]
    assert counts.together.tolist() == pairs
    assert counts.conditional[0].tolist() == [1, 1, 0.5, 0]
    assert np.isnan(counts.conditional[3]).all()


def test_the_memory_is_that_of_the_pairs_of_labels():
    num_images, num_classes = 10_000, 500
    labels = [np.array([image % num_classes]) for image in range(num_images)]
    none = [np.empty(0, int)] * num_images
    many = Split('train', tuple(map(str, range(num_classes))), labels, none, [], None, [None] * num_images)
    tracemalloc.start()
    counts = count_labels(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (counts.together == 20 * np.eye(num_classes)).all()
    assert peak < 4 * counts.together.nbytes < 4 * num_images * num_classes
