"""MMPretrain's programs with a checkpoint of this package."""

import runpy
import sys
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
import torch
from PIL import Image

from kmcl_mm.apps.inference import KMCLInferencer

VIS_CAM = Path(mmpretrain.__file__).parent / '.mim/tools/visualization/vis_cam.py'
HAS_CAM = 'Grad-CAM is not installed (pip install --no-deps grad-cam ttach)'


def test_features_are_those_of_the_inferencer(small_cfg, save_checkpoint, folder):
    checkpoint = save_checkpoint()
    extract = mmpretrain.FeatureExtractor(small_cfg, pretrained=str(checkpoint), device='cpu')
    inferencer = KMCLInferencer(small_cfg, checkpoint, fuse=False)
    (image,) = inferencer(str(folder / 'a.jpg'), with_embedding=True).images
    found = extract(str(folder / 'a.jpg'), stage='pre_logits')[0]
    np.testing.assert_allclose(found.numpy(), image.embedding, rtol=0, atol=1e-5)
    pooled = extract(str(folder / 'a.jpg'), stage='neck')[0][0]
    embedding = inferencer.model.head.pre_logits(pooled.unsqueeze(0))[0]
    np.testing.assert_allclose(embedding.detach().numpy(), image.embedding, rtol=0, atol=1e-5)


def test_a_map_for_each_label(small_cfg, save_checkpoint, folder, tmp_path, monkeypatch):
    """Judged by Grad-CAM of its definition: the mean gradient of a label's logit by each channel, times the channel."""
    scale_cam_image = pytest.importorskip('pytorch_grad_cam.utils.image', reason=HAS_CAM).scale_cam_image
    checkpoint = save_checkpoint()
    small_cfg.dump(tmp_path / 'small.py')
    layer = 'backbone.timm_model.layer4'
    model = KMCLInferencer(small_cfg, checkpoint, fuse=False).model
    sample = KMCLInferencer(small_cfg, checkpoint).pipeline(str(folder / 'a.jpg'))
    maps: list[np.ndarray] = []

    def keep(mask, *rest, **more):
        maps.append(np.squeeze(np.float32(mask)))
        return scale_cam_image(mask, *rest, **more)

    monkeypatch.setattr('pytorch_grad_cam.base_cam.scale_cam_image', keep)
    files = [str(folder / 'a.jpg'), str(tmp_path / 'small.py'), str(checkpoint)]
    for label in range(3):
        maps.clear()
        out = tmp_path / f'{label}.png'
        options = ['--target-category', str(label), '--target-layers', layer, '--save-path', str(out)]
        monkeypatch.setattr(sys, 'argv', ['vis_cam.py', *files, *options])
        runpy.run_path(str(VIS_CAM), run_name='__main__')
        assert Image.open(out).size == (64, 64)
        np.testing.assert_allclose(maps[0], grad_cam(model, layer, sample, label), rtol=1e-3, atol=1e-6)


def grad_cam(model, layer, sample, label):
    kept = []
    hook = model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.append(output))
    images = model.data_preprocessor(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))['inputs']
    logits = model(images)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, label], kept)
    return (gradient.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1).relu()[0].detach().numpy()
