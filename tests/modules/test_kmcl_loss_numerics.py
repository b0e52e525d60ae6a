"""A random search for inputs at which the losses in float32 leave their plain form in float64."""

import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.plain import plain_losses
from kmcl_mm.functional import log_kernel
from kmcl_mm.models import KMCLLoss

# The bounds of KMCLLoss's docstring: relative to a value or to the largest gradient of a tensor; absolute for values,
# and for gradients in units of the kernels' own width.
RELATIVE, ABSOLUTE, ABSOLUTE_GRADIENT = 1e-4, 1e-6, 1e-5

magnitudes = dict(
    images=st.integers(1, 8),
    labels=st.integers(1, 6),
    dimensions=st.sampled_from([1, 2, 8, 64, 256, 2048]),
    log_center=st.floats(-3, 4),
    log_spread=st.floats(-4, 4),
    log_variance=st.floats(-6, 6),
    log_spread_of_variances=st.floats(0, 6),
    log_logits=st.floats(-2, 1.5),
    density=st.sampled_from([0.1, 0.3, 0.6, 1.0]),
    is_embedding_near=st.booleans(),
    has_equal_kernels=st.booleans(),
    seed=st.integers(0, 2**31),
)


def draw_batch(covariance, **drawn):
    """Means to 1e4, variances from 1 to 1e6 or all of one magnitude, some kernels equal; all in float32."""
    generator = torch.Generator().manual_seed(drawn['seed'])
    images, labels, dimensions = drawn['images'], drawn['labels'], drawn['dimensions']
    shape = (images, labels) if covariance == 'isotropic' else (images, dimensions, labels)
    spread = 10 ** min(drawn['log_spread'], 4)
    center = 10 ** drawn['log_center']
    mean = center + spread * torch.randn(shape, generator=generator)
    variance = 10 ** (-drawn['log_spread_of_variances'] * torch.rand(shape, generator=generator))
    variance = 1 + 10 ** drawn['log_variance'] * variance
    embedding = center + spread * torch.randn(images, dimensions, generator=generator)
    if drawn['is_embedding_near']:
        own = mean[:, :1] if covariance == 'isotropic' else mean[..., 0]
        embedding = own + torch.randn(images, dimensions, generator=generator)
    if drawn['has_equal_kernels'] and images > 1:
        mean[1], variance[1] = mean[0], variance[0]
    logits = 10 ** drawn['log_logits'] * torch.randn(images, labels, generator=generator)
    target = (torch.rand(images, labels, generator=generator) < drawn['density']).float()
    return (embedding, logits, mean, variance), target


# A gradient that is a small difference of large responsibilities, which took a random search long to find.
@example(
    variant='exact',
    covariance='isotropic',
    temperature=0.05,
    drawn=dict(
        images=2,
        labels=5,
        dimensions=2048,
        log_center=0.0,
        log_spread=-1.0,
        log_variance=0.0,
        log_spread_of_variances=0.0,
        log_logits=0.0,
        density=0.1,
        is_embedding_near=True,
        has_equal_kernels=False,
        seed=0,
    ),
)
@settings(
    max_examples=3000, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    variant=st.sampled_from(['reference', 'exact']),
    covariance=st.sampled_from(['isotropic', 'anisotropic']),
    temperature=st.sampled_from([0.05, 0.17, 1.0]),
    drawn=st.fixed_dictionaries(magnitudes),
)
def test_float32_keeps_to_float64(variant, covariance, temperature, drawn):
    parts, target = draw_batch(covariance, **drawn)
    inputs = [part.clone().requires_grad_() for part in parts]
    exact_inputs = [part.double().requires_grad_() for part in parts]
    losses = KMCLLoss(variant, covariance, temperature=temperature)(*inputs, target)
    expected = plain_losses(*exact_inputs, target.double(), variant, temperature)

    # Rounding of the log kernels reaches the reconstruction; `reference` has a floor at -87.
    log_kernels = log_kernel(*(exact_inputs[position].detach() for position in (0, 2, 3))).abs().max().item()
    rounding = 2e-7 * min(log_kernels, 88 if variant == 'reference' else float('inf'))
    width = exact_inputs[3].detach()
    widths = [width.max().sqrt(), 1, width.sqrt(), width]
    for name, loss in losses.items():
        of_kernels = rounding if name == 'loss_reconstruction' else 0
        relative = RELATIVE + of_kernels
        value = expected[name].item()
        assert abs(loss.item() - value) <= relative * abs(value) + ABSOLUTE, name
        gradients = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
        judged = torch.autograd.grad(expected[name], exact_inputs, retain_graph=True, allow_unused=True)
        for gradient, exact, scale in zip(gradients, judged, widths):
            if exact is not None:
                error = (scale * (gradient - exact)).abs().max()
                assert error <= relative * (scale * exact).abs().max() + ABSOLUTE_GRADIENT + of_kernels, name
