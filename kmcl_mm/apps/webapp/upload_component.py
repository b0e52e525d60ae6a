"""Gradio's image component for uploaded files only."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData


def uploaded_image(**settings: Any) -> gr.Image:
    """Create an image component that passes on the path of the uploaded file.

    Gradio's own component decodes an image before its size can be checked, and downloads one if a client sends a URL in
    place of a file.

    Args:
        **settings: Settings of ``gr.Image``.

    Returns:
        The component. It passes on None after the image was removed, and raises a ValueError if a client names anything
        but an uploaded file.
    """
    component = gr.Image(type='filepath', **settings)
    folder, move = Path(component.GRADIO_CACHE).resolve(), component.async_move_resource_to_block_cache

    def check(path: str | Path | None) -> None:
        if not path or not Path(path).resolve().is_relative_to(folder):
            raise ValueError('Expected an uploaded file, but got another path or a URL.')

    def preprocess(payload: ImageData | None) -> str | None:
        if payload is None:
            return None
        check(payload.path)
        return payload.path

    async def move_checked(path: str | Path | None) -> str | None:
        check(path)
        return await move(path)

    # On the instance: for a subclass Gradio would write a .pyi file next to its module.
    vars(component).update(preprocess=preprocess, async_move_resource_to_block_cache=move_checked)
    return component
