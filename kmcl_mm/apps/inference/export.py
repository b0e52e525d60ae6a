"""A classifier as a file for other runtimes: ONNX, or PyTorch's exported program."""

import copy
import importlib.util
import json
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from ...datasets.wrappers import pipeline_of
from ...errors import shorten
from ...files import atomic_write
from .decision_rule import thresholds_of
from .preprocessing import Preprocessing, plain_settings

ENDINGS = ('.onnx', '.pt2')
METADATA_FILE = 'metadata.json'  # within a .pt2
# Two images: with one, an exporter may take the batch size for a constant.
_EXAMPLES = 2
# Of scores in [0, 1], between the network and its file.
_TOLERANCE = 1e-4


class Scores(nn.Module):
    """From normalized images (N, 3, H, W) to scores (N, K).

    Args:
        model: The classifier, in evaluation mode.
    """

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = model.backbone, model.neck, copy.deepcopy(model.head)
        if getattr(self.head, 'calibration', None) is not None:
            # Of the size that they have in a checkpoint, from which they came.
            for memory in self.head.calibration.memories:
                memory.vectors = memory.vectors.half()
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


def export(model: BaseModel, metadata: dict[str, Any], path: str | Path) -> int | None:
    """Write a classifier as ONNX (.onnx) or as PyTorch's exported program (.pt2), and compare the file with it.

    The graph takes normalized ``images`` (N, 3, height, width) of any N, and gives ``scores`` (N, K). Where an exporter
    takes the batch size for a constant, as for window attention, N is 1. The metadata is in the same file, with
    ``batch_size``, 1 or None for any: in ONNX one JSON text per entry in the model's ``metadata_props``, in .pt2 the
    extra file ``metadata.json``.

    Args:
        model: The classifier, in evaluation mode.
        metadata: The result of :func:`metadata_of`.
        path: The file to write; it is written atomically.

    Returns:
        N, or None for any.

    Raises:
        ValueError: The path has another ending; or the classifier cannot be exported, or its file gives other scores
            for random images.
        ImportError: The path ends in .onnx, and onnx or onnxruntime is not installed.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f'Expected argument `path` to end in one of {", ".join(ENDINGS)}, but got {path}.')
    missing = [name for name in ('onnx', 'onnxruntime') if importlib.util.find_spec(name) is None]
    if path.suffix == '.onnx' and missing:
        raise ImportError(f'Export to ONNX needs {" and ".join(missing)}. Install:\n    pip install "kmcl_mm[deploy]"')
    write, run = (_write_onnx, _run_onnx) if path.suffix == '.onnx' else (_write_pt2, _run_pt2)
    scores, device = Scores(model), next(model.parameters()).device
    shape, generator = (3, metadata['height'], metadata['width']), torch.Generator().manual_seed(0)
    reasons = []
    for batch_size in (None, 1):
        try:
            with atomic_write(path) as unfinished, torch.no_grad():
                example = torch.zeros(batch_size or _EXAMPLES, *shape, device=device)
                write(scores, example, dict(metadata, batch_size=batch_size), unfinished)
                for number in (1, 3) if batch_size is None else (batch_size,):
                    images = torch.randn(number, *shape, generator=generator)
                    _compare(scores(images.to(device)).cpu().numpy(), run(unfinished, images))
        except OSError:
            raise
        except Exception as error:  # Exporters and runtimes fail in any way.
            batch = 'any number of images' if batch_size is None else 'one image'
            reasons.append(f'for {batch}, {_first_line(error)}')
        else:
            return batch_size
    raise ValueError(f'The classifier cannot be exported to {path.suffix}: {"; ".join(reasons)}.')


def _compare(expected: np.ndarray, found: np.ndarray) -> None:
    difference = np.abs(found - expected).max() if found.shape == expected.shape else np.inf
    if not difference <= _TOLERANCE:
        raise ValueError(f'the scores of {len(expected)} images differ by up to {difference:.2g}')


def _first_line(error: Exception) -> str:
    return shorten(next(iter(str(error).strip().splitlines()), type(error).__name__))


def _write_onnx(scores: Scores, images: Tensor, metadata: dict[str, Any], path: Path) -> None:
    import onnx

    is_any = metadata['batch_size'] is None
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
            dynamic_axes=dict(images={0: 'batch'}, scores={0: 'batch'}) if is_any else None,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _run_onnx(path: Path, images: Tensor) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return session.run(None, dict(images=images.numpy()))[0]


def _write_pt2(scores: Scores, images: Tensor, metadata: dict[str, Any], path: Path) -> None:
    shapes = dict(images={0: torch.export.Dim('batch', min=1)}) if metadata['batch_size'] is None else None
    program = torch.export.export(scores, (images,), dynamic_shapes=shapes)
    # With a path, torch would name the folder in the archive after the unfinished file.
    with path.open('wb') as file:
        torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})


def _run_pt2(path: Path, images: Tensor) -> np.ndarray:
    with path.open('rb') as file:
        module = torch.export.load(file).module()
    device = next(chain(module.parameters(), module.buffers())).device
    return module(images.to(device)).cpu().numpy()
