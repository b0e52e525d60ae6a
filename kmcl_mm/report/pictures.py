"""Pictures that lie in the page itself."""

import base64


def as_data_uri(jpeg: bytes) -> str:
    """The address of a picture that holds the picture.

    Args:
        jpeg: The JPEG.

    Returns:
        The address, for ``<img src="...">``.

    Example:
        >>> as_data_uri(b'abc')
        'data:image/jpeg;base64,YWJj'
    """
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'
