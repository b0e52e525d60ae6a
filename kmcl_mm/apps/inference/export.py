"""A classifier as a file for other runtimes: ONNX, or PyTorch's exported program."""

import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from ...datasets.wrappers import pipeline_of
from ...files import atomic_write
from .decision_rule import thresholds_of
from .preprocessing import Preprocessing, plain_settings

ENDINGS = ('.onnx', '.pt2')
METADATA_FILE = 'metadata.json'  # within a .pt2
# Two images: with one, an exporter may take the batch size for a constant.
_EXAMPLES = 2


class Scores(nn.Module):
    """From normalized images (N, 3, H, W) to scores (N, K).

    Args:
        model: The classifier, in evaluation mode.
    """

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = model.backbone, model.neck, model.head
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Scores of images.

        Args:
            images: Images (N, 3, H, W), normalized.

        Returns:
            Scores (N, K) in [0, 1].
        """
        features = self.backbone(images)
        if self.neck is not None:
            features = self.neck(features)
        return self.head(features).sigmoid()


def metadata_of(model: BaseModel, cfg: Config, names: Sequence[str]) -> dict[str, Any]:
    """Collect what a runtime needs besides the graph.

    Args:
        model: The classifier, with its thresholds.
        cfg: Its configuration.
        names: Names of the K labels.

    Returns:
        ``labels`` and ``thresholds`` (None where the head predicts its ``topk`` highest); ``height`` and ``width`` of
        the images; ``channel_order``, 'rgb' or 'bgr'; ``mean`` and ``std`` of each channel in that order, by which
        pixels in [0, 255] are normalized; ``pipeline``, the transforms of the test.

    Raises:
        ValueError: The test pipeline does not give all images one size, or the preprocessor pads them.
    """
    height, width = _image_size(Preprocessing(cfg))
    preprocessor, thresholds = model.data_preprocessor, thresholds_of(model, names)
    if height % preprocessor.pad_size_divisor or width % preprocessor.pad_size_divisor:
        raise ValueError(
            f'The image size {height} x {width} is not a multiple of data_preprocessor.pad_size_divisor = '
            f'{preprocessor.pad_size_divisor}. Change one of them.'
        )
    is_normalizing = hasattr(preprocessor, 'mean')
    return dict(
        labels=list(names),
        thresholds=None if thresholds is None else thresholds.tolist(),
        topk=model.head.topk if thresholds is None else None,
        height=height,
        width=width,
        channel_order='rgb' if preprocessor.to_rgb else 'bgr',
        mean=preprocessor.mean.flatten().tolist() if is_normalizing else [0.0] * 3,
        std=preprocessor.std.flatten().tolist() if is_normalizing else [1.0] * 3,
        pipeline=plain_settings(pipeline_of(cfg.test_dataloader.dataset.to_dict())),
    )


def _image_size(preprocessing: Preprocessing) -> tuple[int, int]:
    """Height and width of the pipeline's results, which must be the same for all images."""
    images = [np.zeros((*shape, 3), np.uint8) for shape in ((300, 500), (700, 400))]
    sizes = {tuple(preprocessing.prepare(image)['inputs'].shape[1:]) for image in images}
    if len(sizes) > 1:
        raise ValueError(
            f'The test pipeline gives images of several sizes: {sorted(sizes)}. Add a Resize to '
            'test_dataloader.dataset.pipeline.'
        )
    return sizes.pop()


def export(model: BaseModel, metadata: dict[str, Any], path: str | Path) -> None:
    """Write a classifier as ONNX (.onnx) or as PyTorch's exported program (.pt2).

    The graph takes normalized ``images`` (N, 3, height, width) of any N, and gives ``scores`` (N, K). The metadata is
    in the same file: in ONNX one JSON text per entry in the model's ``metadata_props``, in .pt2 the extra file
    ``metadata.json``.

    Args:
        model: The classifier, in evaluation mode.
        metadata: The result of :func:`metadata_of`.
        path: The file to write; it is written atomically.

    Raises:
        ValueError: The path has another ending.
        ImportError: The path ends in .onnx, and the package onnx is not installed.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f'Expected argument `path` to end in one of {", ".join(ENDINGS)}, but got {path}.')
    device = next(model.parameters()).device
    images = torch.zeros(_EXAMPLES, 3, metadata['height'], metadata['width'], device=device)
    write = _write_onnx if path.suffix == '.onnx' else _write_pt2
    with atomic_write(path) as unfinished, torch.no_grad():
        write(Scores(model), images, metadata, unfinished)


def _write_onnx(scores: Scores, images: Tensor, metadata: dict[str, Any], path: Path) -> None:
    if importlib.util.find_spec('onnx') is None:
        raise ImportError('Export to ONNX needs the package onnx. Install it:\n    pip install "kmcl_mm[deploy]"')
    import onnx

    with warnings.catch_warnings():
        # Export by tracing works for all releases of torch and needs no package but onnx.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            scores,
            (images,),
            path,
            dynamo=False,
            opset_version=17,
            input_names=['images'],
            output_names=['scores'],
            dynamic_axes=dict(images={0: 'batch'}, scores={0: 'batch'}),
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _write_pt2(scores: Scores, images: Tensor, metadata: dict[str, Any], path: Path) -> None:
    batch = torch.export.Dim('batch', min=1)
    program = torch.export.export(scores, (images,), dynamic_shapes=dict(images={0: batch}))
    # With a path, torch would name the folder in the archive after the unfinished file.
    with path.open('wb') as file:
        torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})
