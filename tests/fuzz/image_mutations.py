"""Mutations of a JPEG file: its header, its end, other formats under its name."""

import io
import struct
import zlib

import numpy as np
from numpy.random import Generator
from PIL import Image

from .mutations import BYTES, choose

_SIDES = (0, 1, 8, 63, 65, 5000, 20000, 32767, 65535)


def change_the_size(content: bytes, generator: Generator) -> bytes:
    """Another height or width in the header; 65535 x 65535 at the most."""
    start = content.find(b'\xff\xc0') + 5
    sides = [int.from_bytes(content[start + at : start + at + 2], 'big') for at in (0, 2)]
    which = int(generator.integers(3))
    for index in (0, 1) if which == 2 else (which,):
        sides[index] = choose(_SIDES, generator)
    return content[:start] + struct.pack('>2H', *sides) + content[start + 4 :]


def claim_a_large_image(content: bytes, generator: Generator) -> bytes:
    side = choose((16000, 23000, 32000, 65535), generator)
    start = content.find(b'\xff\xc0') + 5
    return content[:start] + struct.pack('>2H', side, side) + content[start + 4 :]


def cut_the_end(content: bytes, generator: Generator) -> bytes:
    return content[: -int(generator.integers(1, 300))]


def cut_and_close(content: bytes, generator: Generator) -> bytes:
    """Without a part of its scan, but with its end."""
    return cut_the_end(content, generator) + b'\xff\xd9'


def append_bytes(content: bytes, generator: Generator) -> bytes:
    """The same image."""
    return content + generator.bytes(int(generator.integers(1, 100)))


def save_in_another_mode(content: bytes, generator: Generator) -> bytes:
    mode = choose(('L', 'CMYK', 'YCbCr'), generator)
    return _save(Image.open(io.BytesIO(content)).convert(mode), 'JPEG', progressive=bool(generator.integers(2)))


def save_in_another_format(content: bytes, generator: Generator) -> bytes:
    mode, kind = choose(
        (('RGB', 'PNG'), ('RGBA', 'PNG'), ('1', 'PNG'), ('P', 'GIF'), ('RGB', 'BMP'), ('RGB', 'TIFF'), ('RGB', 'WEBP')),
        generator,
    )
    return _save(Image.open(io.BytesIO(content)).convert(mode), kind)


def save_with_more_bits(content: bytes, generator: Generator) -> bytes:
    """As radiographs and satellite images are saved: 8 to 16 bits in 16, or numbers."""
    grey = np.asarray(Image.open(io.BytesIO(content)).convert('L'))
    factor, kind, dtype = choose(
        (
            (1, 'PNG', np.uint16),
            (4, 'TIFF', np.uint16),
            (16, 'PNG', np.uint16),
            (257, 'PNG', np.uint16),
            (100, 'TIFF', np.int32),
            (1 / 255, 'TIFF', np.float32),
        ),
        generator,
    )
    return _save(Image.fromarray((grey * np.float64(factor)).astype(dtype)), kind)


def save_in_a_format_of_pillow(content: bytes, generator: Generator) -> bytes:
    """One that OpenCV does not decode."""
    return _save(Image.open(io.BytesIO(content)), choose(('TGA', 'PCX', 'QOI', 'ICO', 'DDS'), generator))


def cut_the_end_of_a_png(content: bytes, generator: Generator) -> bytes:
    return _save(Image.open(io.BytesIO(content)), 'PNG')[: -int(generator.integers(1, 100))]


def break_another_format(content: bytes, generator: Generator) -> bytes:
    return choose(BYTES, generator)(save_in_another_format(content, generator), generator)


def turn_it(content: bytes, generator: Generator) -> bytes:
    """As a camera asks for it."""
    tags = Image.Exif()
    tags[0x0112] = int(generator.integers(0, 11))
    return _save(Image.open(io.BytesIO(content)), 'JPEG', exif=tags)


def claim_a_large_png(content: bytes, generator: Generator) -> bytes:
    """A PNG whose header, with a right checksum, claims a size that its data does not have."""
    content = _save(Image.open(io.BytesIO(content)), 'PNG')
    sides = struct.pack('>2I', *(choose((16000, 30000, 2**31 - 1), generator) for _ in range(2)))
    header = content[12:16] + sides + content[24:29]
    return content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:]


def write_something_else(content: bytes, generator: Generator) -> bytes:
    return choose(
        (b'', b'\xff\xd8', b'\xff\xd8\xff\xd9', b'GIF89a', b'<html>', generator.bytes(500), bytes(1000)), generator
    )


def _save(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def draw_jpeg(height: int = 48, width: int = 64) -> bytes:
    """A smooth image."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 5 % 256, columns * 4 % 256, (rows + columns) * 2 % 256], axis=-1).astype(np.uint8)
    return _save(Image.fromarray(pixels), 'JPEG', quality=90)


IMAGE = (*2 * BYTES, *2 * (change_the_size, claim_a_large_image, cut_the_end, cut_and_close, append_bytes))
IMAGE += (*2 * (save_in_another_mode, save_in_another_format, break_another_format, break_another_format, turn_it),)
IMAGE += (*2 * (save_with_more_bits, save_in_a_format_of_pillow, cut_the_end_of_a_png),)
IMAGE += (claim_a_large_png, claim_a_large_png, write_something_else)
