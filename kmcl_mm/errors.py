"""Errors that one part raises and another one looks for."""


class UnreadableImageError(ValueError):
    """An image file is missing or is not a whole image."""
