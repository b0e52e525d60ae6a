"""What the bytes of a JPEG file say without decoding them."""

from typing import Iterator, Optional, Tuple

# Each block of 8 x 8 pixels takes a Huffman code, which is a bit at the least (T.81, annexes F and G).
MOST_PIXELS_PER_BYTE = 8 * 8 * 8

_START_OF_IMAGE = b'\xff\xd8\xff'
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b'\xff\xd9'
# The markers C0 to CF begin a frame, but for these three: Huffman tables, an extension, arithmetic conditioning.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def is_jpeg(content: bytes) -> bool:
    """Tell whether a file begins as a JPEG does.

    Args:
        content: The file's bytes.

    Returns:
        Whether it does.
    """
    return content.startswith(_START_OF_IMAGE)


def read_size(content: bytes) -> Optional[Tuple[int, int]]:
    """Read height and width from the header of a JPEG file.

    Args:
        content: The file's bytes.

    Returns:
        Height and width as stored, in pixels, before any rotation that the file asks for; None where the header does
        not tell.

    Source: ITU-T T.81, annex B: each segment is FF, its marker and its length in two bytes.
    """
    for position, marker in _segments(content):
        if marker in _FRAME_MARKERS:
            height, width = (int.from_bytes(content[position + at : position + at + 2], 'big') for at in (5, 7))
            return (height, width) if height and width else None
    return None


def is_cut_short(content: bytes) -> bool:
    """Tell whether the end of a JPEG file is missing, which decoders fill with grey.

    The end marker cannot occur within a scan. A whole file has one after its first scan, mostly as its last two bytes;
    a thumbnail in the header has its own before it, and anything may follow.

    Args:
        content: The file's bytes.

    Returns:
        Whether it is.
    """
    if content.endswith(_END_OF_IMAGE):
        return False
    scan = next((position for position, marker in _segments(content) if marker == _START_OF_SCAN), len(content))
    return content.find(_END_OF_IMAGE, scan) < 0


def _segments(content: bytes) -> Iterator[Tuple[int, int]]:
    """Position and marker of each segment of the header, up to the first scan."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        yield position, marker
        if marker == _START_OF_SCAN:
            return
        position += 2 + int.from_bytes(content[position + 2 : position + 4], 'big')
