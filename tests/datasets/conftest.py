"""Small images for the data sets."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def draw_images(tmp_path):
    """Save grey images under names in a folder of ``tmp_path``."""

    def draw(folder, names, mode='RGB', size=(12, 8)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            pixels = np.random.RandomState(number).randint(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).convert(mode).save(tmp_path / folder / name)
        return tmp_path

    return draw
