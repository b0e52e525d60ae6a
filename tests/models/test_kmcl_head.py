import pytest
import torch
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from kmcl_mm.models import KMCLHead, KMCLLoss
from tests.conftest import golden_cases

PAIRINGS = [
    ('isotropic', 'bhattacharyya'),
    ('isotropic', 'rbf'),
    ('anisotropic', 'bhattacharyya'),
    ('anisotropic', 'mahalanobis'),
]
SIMILARITIES = dict(BC='bhattacharyya', RBF='rbf', MKS='mahalanobis')
LAYERS = {'downsampler': 'embedding', 'kmm.pi': 'logits', 'kmm.mean': 'mean', 'kmm.var': 'variance'}


def build_head(covariance='anisotropic', similarity='bhattacharyya', variant='exact', **settings):
    return MODELS.build(
        dict(
            dict(
                type='KMCLHead',
                num_classes=5,
                in_channels=12,
                covariance=covariance,
                similarity=similarity,
                embedding_channels=8,
                loss=dict(type='KMCLLoss', variant=variant, covariance=covariance),
            ),
            **settings,
        )
    )


def build_head_at_the_embedding(**settings):
    return build_head(kernels='embedding', **{'loss': dict(type='KMCLLoss', reconstruction_weight=0), **settings})


def samples(targets):
    return [DataSample().set_gt_score(target) for target in torch.as_tensor(targets, dtype=torch.float32)]


def golden_mixture(golden):
    """The mixture of a head with the weights and features of a golden case."""
    settings = golden.settings
    head = build_head(settings['covariance'], SIMILARITIES[settings['similarity']], embedding_channels=128)
    state = {}
    for name, tensor in golden.tensors.items():
        if name.startswith('state/'):
            layer, kind = name.removeprefix('state/').rsplit('.', 1)
            state[f'{LAYERS[layer]}.{kind}'] = (
                tensor.squeeze(-1) if layer == 'downsampler' and kind == 'weight' else tensor
            )
    head.load_state_dict(state)
    return head.mixture((golden['in/features'],))


@golden_cases('head')
def test_equals_the_published_code(golden):
    for name, part in golden_mixture(golden)._asdict().items():
        torch.testing.assert_close(part, golden[f'out/{name}'].view_as(part), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('covariance, similarity', PAIRINGS)
def test_shapes_and_variances(covariance, similarity):
    head = build_head(covariance, similarity)
    mixture = head.mixture((torch.randn(3, 12) * 100,))
    kernels = (3, 5) if covariance == 'isotropic' else (3, 8, 5)
    assert [tuple(part.shape) for part in mixture] == [
        (3, 12 if covariance == 'isotropic' else 8),
        (3, 5),
        kernels,
        kernels,
    ]
    assert mixture.variance.min() >= 1
    if similarity in ('rbf', 'mahalanobis'):
        assert mixture.variance.eq(mixture.variance[..., :1]).all()


@pytest.mark.parametrize('covariance, similarity', PAIRINGS)
@pytest.mark.parametrize('variant', ['reference', 'exact'])
def test_losses_reach_every_parameter(covariance, similarity, variant):
    """A parameter without a gradient would stop distributed training."""
    head = build_head(covariance, similarity, variant)
    head.init_weights()
    losses = head.loss((torch.randn(4, 12),), samples([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0] * 5]))
    assert set(losses) == {'loss_asl', 'loss_reconstruction', 'loss_contrastive'}
    sum(losses.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in head.parameters())


def test_kernels_at_the_embedding():
    head = build_head_at_the_embedding()
    head.init_weights()
    assert sorted(dict(head.named_children())) == ['embedding', 'logits', 'loss_module']
    mixture = head.mixture((torch.randn(3, 12),))
    assert mixture.mean.shape == mixture.variance.shape == (3, 8, 1)
    assert mixture.mean[..., 0].equal(mixture.embedding)
    assert mixture.variance.eq(1).all()


def test_isotropic_kernels_have_no_projection():
    assert build_head('isotropic', embedding_channels=None).embedding_channels == 12


def test_kernels_at_the_features():
    """Without a projection the network predicts as one with a linear head, and is contrasted by its features."""
    head = build_head_at_the_embedding(embedding_channels=None)
    feats = (torch.randn(3, 12),)
    mixture = head.mixture(feats)
    assert mixture.embedding is feats[0] and mixture.mean.shape == (3, 12, 1)
    assert [name for name, _ in head.named_parameters()] == ['logits.weight', 'logits.bias']
    assert head(feats).equal(torch.nn.functional.linear(feats[0], head.logits.weight, head.logits.bias))


def test_kernels_at_the_embedding_are_contrasted_by_its_distances():
    """With one label the contrast is a cross-entropy over the other images, of the Gaussian of their distance."""
    settings = dict(variant='exact', distance_scale=0.2, reconstruction_weight=0, jaccard='none', temperature=0.5)
    head = build_head_at_the_embedding(num_classes=1, loss=dict(type='KMCLLoss', **settings)).double()
    feats = torch.randn(3, 12, dtype=torch.float64)
    loss = head.loss((feats,), samples([[1], [1], [0]]))['loss_contrastive']

    embedding = head.pre_logits((feats,))
    similarity = (-0.2 * torch.cdist(embedding, embedding).square() / 8).exp() / 0.5
    first = torch.nn.functional.cross_entropy(similarity[0, [1, 2]], torch.tensor(0))
    second = torch.nn.functional.cross_entropy(similarity[1, [0, 2]], torch.tensor(0))
    torch.testing.assert_close(loss, (first + second) / 3)


@pytest.mark.parametrize('variant', ['reference', 'exact'])
def test_a_shared_kernel_is_that_of_every_label(variant):
    torch.manual_seed(0)
    loss = KMCLLoss(variant=variant).double()
    embedding, mean = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, 1, dtype=torch.float64)
    logits, variance = torch.randn(6, 5, dtype=torch.float64), 1 + torch.rand(6, 4, 1, dtype=torch.float64)
    target = torch.randint(-1, 2, (6, 5)).double()
    arguments = [part.requires_grad_() for part in (embedding, logits, mean, variance)]
    shared = loss(*arguments, target)
    of_each = loss(embedding, logits, *(part.expand(-1, -1, 5) for part in (mean, variance)), target)
    torch.testing.assert_close(shared, of_each)
    for ours, theirs in zip(*(torch.autograd.grad(sum(losses.values()), arguments) for losses in (shared, of_each))):
        torch.testing.assert_close(ours, theirs)


def test_kernels_at_the_embedding_train_every_parameter():
    head = build_head_at_the_embedding()
    losses = head.loss((torch.randn(3, 12),), samples([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0]]))
    losses['loss_contrastive'].backward(retain_graph=True)
    assert head.embedding.weight.grad.abs().max() > 0 and head.logits.weight.grad is None
    losses['loss_asl'].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in head.parameters())


def test_targets_may_be_indices():
    head = build_head()
    feats = (torch.randn(2, 12),)
    indices = [DataSample().set_gt_label(torch.tensor([0, 3])), DataSample().set_gt_label(torch.tensor([1]))]
    by_index, by_score = head.loss(feats, indices), head.loss(feats, samples([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]]))
    assert by_index == by_score


def test_published_initial_values():
    torch.manual_seed(0)
    head = build_head(embedding_channels=64)
    before = head.logits.weight.clone(), head.embedding.weight.clone()
    head.init_weights()
    assert 0 <= head.mean.weight.min() < 0.01 and 0.09 < head.mean.weight.max() <= 0.1
    assert head.variance.weight.eq(1).all()
    assert head.mean.bias.eq(0).all() and head.variance.bias.eq(0).all()
    assert head.logits.weight.equal(before[0]) and head.embedding.weight.equal(before[1])


def test_initial_values_from_the_configuration():
    head = build_head(init_cfg=dict(type='Constant', layer='Linear', val=0.5, bias=0.25))
    head.init_weights()
    assert all(head.get_submodule(layer).weight.eq(0.5).all() for layer in LAYERS.values())
    untouched = build_head(init_cfg=[])
    before = untouched.variance.weight.clone()
    untouched.init_weights()
    assert untouched.variance.weight.equal(before)


def test_is_a_multilabel_head_of_the_host():
    head = build_head(thr=0.8)
    assert isinstance(head, MultiLabelClsHead)
    feats = (torch.randn(2, 12),)
    logits = head(feats)
    torch.testing.assert_close(logits, head.mixture(feats).logits)
    with torch.no_grad():
        head.logits.weight.zero_(), head.logits.bias.copy_(torch.tensor([5.0, -5, 1, 2, -1]))
    (prediction,) = head.predict((torch.randn(1, 12),))
    torch.testing.assert_close(prediction.pred_score, torch.tensor([5.0, -5, 1, 2, -1]).sigmoid())
    assert prediction.pred_label.tolist() == [0, 3]
    head.thr, head.topk = None, 3
    assert sorted(head.predict((torch.randn(1, 12),))[0].pred_label.tolist()) == [0, 2, 3]


def test_variances_are_float32_in_a_half_precision_network():
    mixture = build_head().bfloat16().mixture((torch.randn(2, 12).bfloat16(),))
    assert mixture.variance.dtype == torch.float32 and mixture.variance.min() >= 1


@pytest.mark.parametrize(
    'settings, message',
    [
        (
            dict(covariance='isotropic', similarity='mahalanobis'),
            "`similarity`.*'rbf'.*isotropic.*but got 'mahalanobis'",
        ),
        (dict(covariance='anisotropic', similarity='rbf'), "`similarity`.*'mahalanobis'.*anisotropic.*but got 'rbf'"),
        (dict(covariance='diagonal', loss=dict(type='KMCLLoss')), "`covariance`.*but got 'diagonal'"),
        (dict(similarity='cosine'), "`similarity`.*but got 'cosine'"),
        (dict(embedding_channels=None), "`embedding_channels`.*kernels='mapped', but got None.*kernels='embedding'"),
        (dict(kernels='tied'), "`kernels`.*but got 'tied'"),
        (
            dict(kernels='embedding', similarity='mahalanobis'),
            "`similarity`.*bhattacharyya.*kernels='embedding', but got anisotropic and mahalanobis",
        ),
        (
            dict(kernels='embedding', loss=dict(type='KMCLLoss')),
            "`loss`.*reconstruction_weight=0 with kernels='embedding'.*but got 1.0",
        ),
        (dict(num_classes=0), '`num_classes`.*positive integer.*but got 0'),
        (dict(thr=80), '`thr`.*but got 80'),
        (dict(topk=6), r'`topk`.*num_classes = 5.*but got 6'),
        (dict(in_channels=2.5), '`in_channels`.*positive integer.*but got 2.5'),
        (dict(loss=dict(type='KMCLLoss', covariance='isotropic')), "`loss`.*'anisotropic'.*but got 'isotropic'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_head(**settings)


def test_features_that_do_not_fit():
    head = build_head()
    with pytest.raises(ValueError, match='in_channels = 12.*but got 7'):
        head((torch.zeros(2, 7),))
    with pytest.raises(ValueError, match=r'pooled.*but got \(2, 12, 7, 7\).*GlobalAveragePooling'):
        head.mixture((torch.zeros(2, 12, 7, 7),))


def test_targets_that_do_not_fit():
    with pytest.raises(ValueError, match=r'`target`.*\(1, 5\).*but got \(1, 4\)'):
        build_head().loss((torch.zeros(1, 12),), samples([[0, 1, 0, 0]]))
    with pytest.raises(ValueError, match='`target`.*but got 0.3'):
        build_head().loss((torch.zeros(1, 12),), samples([[0, 0.3, 0, 0, 1]]))


def test_isotropic_embedding_is_the_features():
    feats = torch.randn(2, 12)
    assert KMCLHead(5, 12, 'isotropic').mixture((feats,)).embedding is feats


@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_the_loss_takes_over_the_covariance_of_the_head(covariance):
    assert KMCLHead(5, 12, covariance).loss_module.covariance == covariance


def test_another_loss_is_refused():
    with pytest.raises(ValueError, match='`loss` to be a KMCLLoss, but got ASLLoss.*MultiLabelLinearClsHead'):
        build_head(loss=dict(type='ASLLoss'))


@pytest.mark.parametrize('loss_type', ['KMCLLoss', 'mmpretrain.KMCLLoss', KMCLLoss])
def test_the_loss_by_any_of_its_names(loss_type):
    assert KMCLHead(5, 12, 'isotropic', loss=dict(type=loss_type)).loss_module.covariance == 'isotropic'


def test_a_registered_subclass_of_the_loss():
    @MODELS.register_module(force=True)
    class HalfKMCLLoss(KMCLLoss):
        """Half the published loss."""

        def forward(self, *args, **kwargs):
            return {name: value / 2 for name, value in super().forward(*args, **kwargs).items()}

    for covariance in ('isotropic', 'anisotropic'):
        head = KMCLHead(5, 12, covariance, loss=dict(type='HalfKMCLLoss'))
        assert isinstance(head.loss_module, HalfKMCLLoss) and head.loss_module.covariance == covariance
