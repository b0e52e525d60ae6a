"""Gradio's image component, for uploaded files and nothing else."""

from pathlib import Path
from typing import Any, Optional, Union

import gradio as gr
from gradio.data_classes import ImageData


def uploaded_image(**settings: Any) -> gr.Image:
    """An image to drop, which gives the path of the uploaded file.

    Gradio's component as it is decodes the image before anyone has looked at its size, and fetches one from an address
    that a client names in place of a file.

    Args:
        **settings: Settings of ``gr.Image``.

    Returns:
        The component. It gives None where the image was taken away, and raises a ValueError where a client names
        anything but an uploaded file.
    """
    component = gr.Image(type='filepath', **settings)
    folder, move = Path(component.GRADIO_CACHE).resolve(), component.async_move_resource_to_block_cache

    def check(path: Optional[Union[str, Path]]) -> None:
        if not path or not Path(path).resolve().is_relative_to(folder):
            raise ValueError('Expected an uploaded file, but got another path or an address.')

    def preprocess(payload: Optional[ImageData]) -> Optional[str]:
        if payload is None:
            return None
        check(payload.path)
        return payload.path

    async def move_checked(path: Optional[Union[str, Path]]) -> Optional[str]:
        check(path)
        return await move(path)

    # On the component itself: beside the file of a subclass Gradio writes another one.
    vars(component).update(preprocess=preprocess, async_move_resource_to_block_cache=move_checked)
    return component
