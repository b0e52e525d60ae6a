"""What a JPEG file says without being decoded."""

from collections.abc import Iterator

# Each block of 8 x 8 pixels takes at least one bit, the shortest Huffman code (T.81, annexes F and G).
MOST_PIXELS_PER_BYTE = 8 * 8 * 8

_START_OF_IMAGE = b'\xff\xd8\xff'
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b'\xff\xd9'
# The markers C0 to CF begin a frame, except Huffman tables, an extension and arithmetic conditioning.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def is_jpeg(content: bytes) -> bool:
    """Tell whether a file starts like a JPEG.

    Args:
        content: The file's bytes.

    Returns:
        Whether it starts so.
    """
    return content.startswith(_START_OF_IMAGE)


def read_size(content: bytes) -> tuple[int, int] | None:
    """Read height and width from the header of a JPEG file.

    Args:
        content: The file's bytes.

    Returns:
        Height and width as stored, in pixels, before any rotation by EXIF; None if the header does not say.

    Source: ITU-T T.81, annex B: each segment starts with FF, its marker, and its length in two bytes.
    """
    for position, marker in _segments(content):
        if marker in _FRAME_MARKERS:
            height, width = (int.from_bytes(content[position + at : position + at + 2], 'big') for at in (5, 7))
            return (height, width) if height and width else None
    return None


def is_cut_short(content: bytes) -> bool:
    """Tell whether the end of a JPEG file is missing. Decoders would fill the rest of the image with grey.

    A complete file has an end marker after the start of its first scan, usually as its last two bytes. The marker
    cannot occur within a scan; a thumbnail in the header has its own, before the scan.

    Args:
        content: The file's bytes.

    Returns:
        Whether it is missing.
    """
    if content.endswith(_END_OF_IMAGE):
        return False
    scan = next((position for position, marker in _segments(content) if marker == _START_OF_SCAN), len(content))
    return content.find(_END_OF_IMAGE, scan) < 0


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield position and marker of each segment of the header, up to the first scan."""
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
