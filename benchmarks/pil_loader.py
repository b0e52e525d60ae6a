"""The recipe's training images by PIL and torchvision, as the published code has them.

It is what the benchmark compares with, and shares no code with the package.
"""

import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from torch import Tensor
from torchvision import transforms

GREY = (128, 128, 128)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PILImage:
    """An image file as a tensor: squash, cutout, two random operations, float32 in [0, 1], normalised.

    Args:
        size: Height and width, pixels.
        is_float: Normalise in float32; otherwise the tensor is uint8, for a device to normalise.
    """

    def __init__(self, size: int, is_float: bool = True) -> None:
        to_tensor = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)] if is_float else [transforms.PILToTensor()]
        self.steps = transforms.Compose([transforms.Resize((size, size)), cut_out, augment, *to_tensor])

    def __call__(self, path: str) -> Tensor:
        """The tensor (3, size, size) of the image at a path."""
        with Image.open(path) as img:
            return self.steps(img.convert('RGB'))


def cut_out(img: Image.Image) -> Image.Image:
    """Paint a square of half the side in one random colour."""
    width, height = img.size
    left, top = random.randrange(width) - width // 4, random.randrange(height) - height // 4
    color = tuple(random.randrange(256) for _ in range(3))
    ImageDraw.Draw(img).rectangle((left, top, left + width // 2 - 1, top + height // 2 - 1), fill=color)
    return img


def augment(img: Image.Image) -> Image.Image:
    """Two operations of the list, each with probability 0.5 at a level of 1 to 9."""
    for name in random.choices(list(OPERATIONS), k=2):
        if random.random() < 0.5:
            img = OPERATIONS[name](img, random.randint(1, 9) / 9)
    return img


def _sign() -> int:
    return random.choice((-1, 1))


def _enhance(kind: Callable) -> Callable:
    return lambda img, part: kind(img).enhance(1 + _sign() * 0.9 * part)


def _affine(img: Image.Image, matrix: tuple, resample: Image.Resampling = Image.Resampling.NEAREST) -> Image.Image:
    return img.transform(img.size, Image.Transform.AFFINE, matrix, resample, fillcolor=GREY)


def _small_cutout(img: Image.Image, part: float) -> Image.Image:
    half = round(20 * part) // 2
    column, row = random.randrange(img.width), random.randrange(img.height)
    img.paste((125, 122, 113), (column - half, row - half, column + half, row + half))
    return img


# Each takes an image and the level as a part of the highest.
OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = dict(
    invert=lambda img, part: ImageOps.invert(img),
    cutout=_small_cutout,
    sharpness=_enhance(ImageEnhance.Sharpness),
    color=_enhance(ImageEnhance.Color),
    contrast=_enhance(ImageEnhance.Contrast),
    brightness=_enhance(ImageEnhance.Brightness),
    autocontrast=lambda img, part: ImageOps.autocontrast(img),
    equalize=lambda img, part: ImageOps.equalize(img),
    posterize=lambda img, part: ImageOps.posterize(img, round(8 - 4 * part)),
    solarize=lambda img, part: ImageOps.solarize(img, 256 - 256 * part),
    shear_x=lambda img, part: _affine(img, (1, _sign() * 0.3 * part, 0, 0, 1, 0), Image.Resampling.BICUBIC),
    shear_y=lambda img, part: _affine(img, (1, 0, 0, _sign() * 0.3 * part, 1, 0), Image.Resampling.BICUBIC),
    translate_x=lambda img, part: _affine(img, (1, 0, _sign() * 150 / 331 * part * img.width, 0, 1, 0)),
    translate_y=lambda img, part: _affine(img, (1, 0, 0, 0, 1, _sign() * 150 / 331 * part * img.height)),
    rotate=lambda img, part: img.rotate(30 * part, fillcolor=GREY),
)
