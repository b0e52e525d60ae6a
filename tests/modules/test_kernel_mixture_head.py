import pytest
import torch

from kmcl_mm import ASLLoss, KernelMixtureHead, KMCLLoss
from kmcl_mm.models import KMCLHead
from tests.conftest import random_batch

FORMS = [
    dict(),
    dict(covariance='isotropic', similarity='rbf'),
    dict(similarity='mahalanobis'),
    dict(kernels='embedding', embedding_channels=None),
]


@pytest.mark.parametrize('form', FORMS[:3])
def test_a_new_head_has_the_published_values(form):
    """METHOD: mean weights uniform in [0, 0.1], variance weights 1, both biases 0."""
    head = KernelMixtureHead(5, 12, **form)
    assert 0 <= head.mean.weight.min() < 0.01 and 0.09 < head.mean.weight.max() <= 0.1
    assert head.variance.weight.eq(1).all()
    assert head.mean.bias.eq(0).all() and head.variance.bias.eq(0).all()
    assert not head.logits.weight.eq(head.logits.weight[0, 0]).all()


@pytest.mark.parametrize('form', FORMS)
def test_a_head_of_mmpretrain_has_the_same_names_and_gives_the_same(form):
    loss = dict(type='KMCLLoss', reconstruction_weight=0)
    plain, registered = KernelMixtureHead(5, 12, **form), KMCLHead(5, 12, loss=loss, **form)
    registered.load_state_dict(plain.state_dict(), strict=True)
    features = torch.randn(3, 12)
    assert registered((torch.zeros(3, 7), features)).equal(plain(features))
    for ours, theirs in zip(plain.mixture(features), registered.mixture((features,))):
        assert ours.equal(theirs)
    assert plain(features).equal(plain((features,)))


def test_a_plain_loop_trains():
    torch.manual_seed(0)
    head = KernelMixtureHead(num_classes=5, in_channels=4, embedding_channels=8)
    loss, optimizer = KMCLLoss('exact'), torch.optim.Adam(head.parameters(), lr=0.01)
    features, *_, target = random_batch(16, 5, 4, dtype=torch.float32)
    totals = []
    for _ in range(30):
        total = sum(loss(*head.mixture(features), target).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]
    assert all(weight.grad.isfinite().all() for weight in head.parameters())
    assert ASLLoss()(head(features), target).isfinite()


@pytest.mark.parametrize('features', [torch.zeros(2, 12, 7, 7), torch.zeros(2, 9)])
def test_features_that_do_not_fit(features):
    with pytest.raises(ValueError, match='12'):
        KernelMixtureHead(5, 12)(features)


@pytest.mark.parametrize('settings', [dict(num_classes=3500), dict(num_classes=9605)])
def test_maps_of_many_labels_are_larger_than_the_network(settings):
    with (
        torch.device('meta'),
        pytest.warns(UserWarning, match=r"9?,?\d+ labels have \d+ million.*'isotropic'.*'embedding'"),
    ):
        KernelMixtureHead(in_channels=8, **settings)


@pytest.mark.parametrize(
    'settings',
    [
        dict(num_classes=600),
        dict(num_classes=9605, covariance='isotropic'),
        dict(num_classes=9605, kernels='embedding'),
    ],
)
def test_what_is_small_is_not_warned_of(settings, recwarn):
    with torch.device('meta'):
        KernelMixtureHead(in_channels=8, **settings)
    assert not list(recwarn)
