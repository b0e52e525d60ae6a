import pytest
import torch
from mmpretrain.registry import MODELS

from kmcl_mm.functional import contrastive
from kmcl_mm.functional.distributed import KernelBatch
from kmcl_mm.functional.pairwise import all_kernels
from kmcl_mm.models import KMCLLoss
from tests import judge
from tests.conftest import golden_cases, random_batch

COVARIANCES = ['isotropic', 'anisotropic']
NAMES = dict(loss_asl='asl', loss_reconstruction='reconstruction', loss_contrastive='contrastive')


def golden_loss(golden):
    """The reference variant on a golden case: losses, and the inputs, whose gradients are wanted."""
    settings = golden.settings
    loss = KMCLLoss(
        'reference',
        settings['covariance'],
        settings['gamma_neg'],
        settings['gamma_pos'],
        settings['clip'],
        settings['temperature'],
    )
    inputs = {name: golden[f'in/{name}'].requires_grad_() for name in ('features', 'logits', 'mean', 'variance')}
    shape = (
        (settings['B'], settings['M'], settings['K'])
        if settings['covariance'] == 'anisotropic'
        else (settings['B'], settings['K'])
    )
    kernels = [inputs[name].view(shape) for name in ('mean', 'variance')]
    return loss(inputs['features'], inputs['logits'], *kernels, golden['in/target']), inputs


@golden_cases('loss')
def test_reference_equals_the_published_code(golden):
    losses, inputs = golden_loss(golden)
    for name, published in NAMES.items():
        torch.testing.assert_close(losses[name].double(), golden[f'out/{published}'], rtol=1e-4, atol=1e-5)
    total = sum(losses.values())
    torch.testing.assert_close(total.double(), golden['out/total'], rtol=1e-4, atol=1e-5)
    total.backward()
    for name, tensor in inputs.items():
        torch.testing.assert_close(tensor.grad, golden[f'grad/{name}'], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('unlabelled', [0, 3])
def test_exact_equals_the_judge(covariance, unlabelled):
    batch = random_batch(7, 5, 4, covariance)
    batch[-1][:unlabelled] = 0
    embedding, logits, mean, variance, target = batch
    losses = KMCLLoss('exact', covariance)(*batch)
    expected = dict(
        loss_asl=judge.asymmetric(logits, target),
        loss_reconstruction=judge.reconstruction(*batch),
        loss_contrastive=judge.contrastive(mean, variance, target, scale=4 if covariance == 'isotropic' else 1),
    )
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], torch.tensor(value, dtype=torch.float64))


@pytest.mark.parametrize(
    'variant, covariance, scale',
    [
        ('reference', 'anisotropic', 4),
        ('exact', 'isotropic', 4),
        ('reference', 'isotropic', 4),
        ('exact', 'anisotropic', 1),
    ],
)
def test_contrast_settings_of_each_variant(variant, covariance, scale):
    batch = random_batch(covariance=covariance)
    jaccard, offset = dict(reference=('inside', 1e-7), exact=('outside', 0))[variant]
    expected = judge.contrastive(*batch[2:], scale=scale, jaccard=jaccard, offset=offset)
    assert KMCLLoss(variant, covariance)(*batch)['loss_contrastive'].item() == pytest.approx(expected, rel=1e-7)


def test_settings_on_top_of_a_variant():
    batch = random_batch()
    loss = MODELS.build(dict(type='KMCLLoss', variant='reference', jaccard='none', distance_scale=2.0, temperature=0.5))
    expected = judge.contrastive(*batch[2:], scale=2, jaccard='none', offset=1e-7, temperature=0.5)
    assert loss(*batch)['loss_contrastive'].item() == pytest.approx(expected, rel=1e-7)


def test_weights():
    batch = random_batch()
    plain = KMCLLoss('exact')(*batch)
    weights = dict(asl=2.0, reconstruction=3.0, contrastive=0.0)
    weighted = KMCLLoss('exact', **{f'{name}_weight': weight for name, weight in weights.items()})(*batch)
    for name, weight in weights.items():
        torch.testing.assert_close(weighted[f'loss_{name}'], weight * plain[f'loss_{name}'])


@pytest.mark.parametrize('variant', ['reference', 'exact'])
@pytest.mark.parametrize('covariance', COVARIANCES)
def test_gradcheck(variant, covariance):
    *inputs, target = random_batch(4, 3, 3, covariance)
    loss = KMCLLoss(variant, covariance, gamma_neg=0)  # with focusing the gradient is not the value's own
    torch.autograd.gradcheck(
        lambda *parts: tuple(loss(*parts, target).values()), [part.requires_grad_() for part in inputs]
    )


@pytest.mark.parametrize('variant', ['reference', 'exact'])
@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_losses_are_computed_in_float32_under_autocast(variant, covariance, dtype):
    """Values, and the gradients before they are rounded to the network's precision."""
    *inputs, target = (part.to(dtype) for part in random_batch(dimensions=64, covariance=covariance))
    inputs = [part.requires_grad_() for part in inputs]
    exact_inputs = [part.detach().float().requires_grad_() for part in inputs]
    expected = KMCLLoss(variant, covariance)(*exact_inputs, target)
    with torch.autocast('cpu', dtype=dtype):
        losses = KMCLLoss(variant, covariance)(*inputs, target)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected[name], rtol=0, atol=0)
    gradients = torch.autograd.grad(sum(losses.values()), inputs)
    for gradient, exact in zip(gradients, torch.autograd.grad(sum(expected.values()), exact_inputs)):
        torch.testing.assert_close(gradient, exact.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_compiled_losses_are_the_same(covariance):
    """In host memory too, where the number of present labels breaks the graph."""
    torch.compiler.reset()
    *inputs, target = random_batch(covariance=covariance, dtype=torch.float32)
    loss = KMCLLoss('exact', covariance)
    torch.testing.assert_close(torch.compile(loss, backend='aot_eager')(*inputs, target), loss(*inputs, target))


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_all_kernels_and_those_of_present_labels_give_the_same_contrast(covariance, monkeypatch):
    """On an accelerator all kernels are compared."""
    *inputs, target = random_batch(9, 6, 5, covariance)
    inputs = [part.requires_grad_() for part in inputs]
    results = []
    for _ in range(2):
        loss = KMCLLoss('exact', covariance)(*inputs, target)['loss_contrastive']
        results.append((loss, *torch.autograd.grad(loss, inputs[2:])))
        monkeypatch.setattr(contrastive, '_anchor_kernels', lambda target: all_kernels(*target.shape, target.device))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize('variant', ['reference', 'exact'])
@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('images, labels', [(1, 5), (4, 1), (1, 1)])
def test_small_batches_with_extreme_inputs_are_finite(variant, covariance, images, labels):
    embedding, logits, mean, variance, target = random_batch(images, labels, covariance=covariance, dtype=torch.float32)
    inputs = [part.requires_grad_() for part in (embedding, logits * 100, mean * 1e4, variance)]
    losses = KMCLLoss(variant, covariance)(*inputs, target)
    gradients = torch.autograd.grad(sum(losses.values()), inputs)
    assert all(value.isfinite().all() for value in (*losses.values(), *gradients))


@pytest.mark.parametrize(
    'settings, name',
    [
        (dict(variant='published'), 'variant'),
        (dict(covariance='diagonal'), 'covariance'),
        (dict(temperature=0), 'temperature'),
        (dict(temperature=float('nan')), 'temperature'),
        (dict(temperature=1e-37), 'temperature'),
        (dict(temperature=[0, 17]), 'temperature'),
        (dict(clip=5), 'clip'),
        (dict(gamma_neg=-1), 'gamma_neg'),
        (dict(contrastive_weight=-0.1), 'contrastive_weight'),
        (dict(distance_scale=-1.0), 'distance_scale'),
        (dict(asl_batch_size=0), 'asl_batch_size'),
        (dict(jaccard='twice'), 'jaccard'),
        (dict(covariance='isotropic', distance_scale=1.0), 'distance_scale'),
    ],
)
def test_wrong_settings(settings, name):
    with pytest.raises(ValueError, match=f'`{name}`.*but got'):
        KMCLLoss(**settings)


def test_wrong_shapes():
    embedding, logits, mean, variance, target = random_batch()
    with pytest.raises(ValueError, match=r'`mean`.*\(N, K\).*isotropic.*but got \(6, 4, 5\)'):
        KMCLLoss(covariance='isotropic')(embedding, logits, mean, variance, target)
    with pytest.raises(ValueError, match=r'`mean`.*\(N, M, K\)'):
        KMCLLoss()(embedding, logits, mean[:, 0], variance[:, 0], target)
    with pytest.raises(ValueError, match='one image at the least'):
        KMCLLoss()(*(part[:0] for part in (embedding, logits, mean, variance, target)))
    with pytest.raises(ValueError, match='`embedding`'):
        KMCLLoss()(embedding.unsqueeze(-1), logits, mean, variance, target)
    with pytest.raises(ValueError, match='`target`.*but got 0.5'):
        KMCLLoss()(embedding, logits, mean, variance, target * 0.5)


@pytest.mark.parametrize('images', [1, 3, 6])
def test_the_balance_of_the_asymmetric_loss_does_not_depend_on_the_batch(images):
    batch = [part[:images] for part in random_batch()]
    plain, balanced = (KMCLLoss('exact', asl_batch_size=size)(*batch) for size in (None, 64))
    torch.testing.assert_close(balanced['loss_asl'], 64 / images * plain['loss_asl'])
    for name in ('loss_reconstruction', 'loss_contrastive'):
        torch.testing.assert_close(balanced[name], plain[name])


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('name', ['asl', 'reconstruction', 'contrastive'])
def test_a_loss_of_weight_0_is_not_computed(name, covariance, monkeypatch):
    """Where it is not finite, 0 times it would not be either."""
    functions = dict(
        asl=['asymmetric_loss'],
        reconstruction=['reconstruction_loss', 'clamped_reconstruction_loss'],
        contrastive=['kernel_contrastive_loss'],
    )
    for function in functions[name]:
        monkeypatch.setattr(f'kmcl_mm.modules.kmcl_loss.{function}', lambda *_, **__: torch.tensor(float('nan')))
    for variant in ('reference', 'exact'):
        *inputs, target = random_batch(covariance=covariance)
        inputs = [part.requires_grad_() for part in inputs]
        losses = KMCLLoss(variant, covariance, **{f'{name}_weight': 0})(*inputs, target)
        assert losses[f'loss_{name}'] == 0
        sum(losses.values()).backward()
        # Processes exchange the gradients of all parameters.
        assert all(part.grad is not None and part.grad.isfinite().all() for part in inputs)


def test_without_a_contrast_no_kernel_is_exchanged(monkeypatch):
    exchanged = []

    def gather(mean, variance, target):
        exchanged.append(mean.numel() + variance.numel())
        return KernelBatch(mean, variance, target, slice(0, len(target)))

    monkeypatch.setattr('kmcl_mm.modules.kmcl_loss.gather_batch', gather)
    batch = random_batch()
    for weight in (1.0, 0.0):
        KMCLLoss('exact', gather_distributed=True, contrastive_weight=weight)(*batch)
    assert exchanged[0] == 2 * batch[2].numel() and exchanged[1] == 0
