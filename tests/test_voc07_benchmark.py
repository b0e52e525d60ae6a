from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torchmetrics.functional.classification import binary_calibration_error

from benchmarks.voc07 import fine_tuned, frozen, gradients, memory, steps
from benchmarks.voc07.__main__ import PAGE, PARTS
from benchmarks.voc07.forms import ABLATIONS, EPOCHS, FORMS, GRID
from benchmarks.voc07.frozen import Features, Part, with_schedule
from benchmarks.voc07.runs import Run, kept, path_of
from benchmarks.voc07.tables import (
    ASYMMETRIC_TERM,
    ablation_table,
    comparison_table,
    forces_table,
    memory_table,
    parts_around,
    steps_table,
    write_table,
)
from kmcl_mm.config import load_config

EMBEDDING = 'kmcl_embedding_efficientnet-lite0_voc07'


def drawn_run(seed, noise=1.0, images=200, labels=3):
    random = np.random.default_rng(7)
    target = (random.random((images, labels)) < 0.3).astype(int)
    scores = target + noise * np.random.default_rng(seed).normal(size=target.shape)
    return Run(scores, target)


def test_what_was_run_is_not_run_again(tmp_path):
    made = []

    def train():
        made.append(1)
        return drawn_run(0)

    path = path_of(tmp_path, 'a share', 0.25, 'lr 0.001, 1', settings='settings')
    first, second = kept(path, Run, train), kept(path, Run, train)
    assert len(made) == 1 and np.array_equal(first.scores, second.scores)
    other = path_of(tmp_path, 'a share', 0.25, 'lr 0.001, 1', settings='other settings')
    kept(other, Run, train)
    assert len(made) == 2 and path.is_file() and other.is_file()


def test_a_changed_setting_does_not_go_on_with_the_training_of_another(tmp_path, monkeypatch):
    trained = []

    def train(config, options, work_dir):
        trained.append(work_dir)
        return drawn_run(0)

    monkeypatch.setattr(fine_tuned, '_train_and_evaluate', train)
    args = SimpleNamespace(data_root=tmp_path, checkpoint=tmp_path / 'none.pth', work_dir=tmp_path)
    for epochs in (4, 4, 5):
        monkeypatch.setattr(fine_tuned, 'EPOCHS', {1.0: epochs})
        fine_tuned._run(args, 'asymmetric loss, linear', 1.0, 1e-3, 0, 'trainval', 'test')
    assert len(trained) == 2 and trained[0] != trained[1]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Arguments and drawn features in the place of those of the data set."""
    generator = torch.Generator().manual_seed(0)

    def part(images):
        features = torch.rand(images, 1280, generator=generator)
        target = (features[:, :20] > 0.7).float()
        features[:, :20] += 5 * target
        return Part(features, target)

    features = Features(part(640), part(512), part(700), part(100))
    for module in (frozen, gradients, memory):
        monkeypatch.setattr(module, 'load_features', lambda args: features)
    return SimpleNamespace(data_root=tmp_path, checkpoint=tmp_path / 'none.pth', work_dir=tmp_path, seeds=[0, 1])


def test_the_frozen_part_from_heads_to_table(small, monkeypatch):
    forms = {name: FORMS[name] for name in ('asymmetric loss, linear', 'KMCL, kernels at the embedding')}
    monkeypatch.setattr(frozen, 'FORMS', forms)
    monkeypatch.setattr(frozen, 'EPOCHS', {0.25: 10})
    drawn, draw = [], Part.drawn
    monkeypatch.setattr(Part, 'drawn', lambda part, share, seed: drawn.append(share) or draw(part, share, seed))
    chosen = frozen.choose_schedules(small)
    runs = dict(frozen.run_frozen(small, chosen))
    assert set(runs) == {(0.25, name, seed) for name in forms for seed in (0, 1)}
    assert min(run.mean_average_precision for run in runs.values()) > 45  # 30 by chance
    # `train` is half of `trainval`: schedules are chosen with as many images as heads are trained with afterwards.
    assert drawn == [0.5] * 2 + [0.25] * 4
    table = comparison_table(runs, dict.fromkeys(chosen, 'rate'))
    assert '| 25% | KMCL, kernels at the embedding | 2 |' in table


@pytest.mark.parametrize('form', [form for forms in ABLATIONS.values() for form in forms.values()])
def test_every_ablation_can_be_trained(form, small):
    cfg = with_schedule(form.load({}), *GRID[0], epochs=1)
    cfg.train_dataloader.batch_size = 8
    part = Part(torch.rand(8, 1280), (torch.rand(8, 20) < 0.2).float())
    run = frozen._run((small.work_dir, 'a'), cfg, part, part, seed=0, share=1.0)
    assert np.isfinite(run.scores).all()


def test_the_cut_keeps_the_contrast_from_the_embedding(small):
    cfg = FORMS['KMCL anisotropic, exact'].load({})
    features, target = torch.rand(8, 1280), (torch.rand(8, 20) < 0.3).float()
    for kind, reaches in (('KMCLHead', True), ('KMCLHeadWithCutMaps', False)):
        cfg.model.head.type = kind
        head = gradients._untrained(cfg)
        losses = head.loss_module(*head.mixture((features,)), target)
        losses['loss_contrastive'].backward()
        assert (head.embedding.weight.grad is not None) == reaches
        assert head.mean.weight.grad.abs().max() > 0


def test_the_forces_before_and_after_a_training(small, monkeypatch):
    monkeypatch.setattr(gradients, 'NAMES', ('KMCL anisotropic, exact', 'KMCL, kernels at the embedding'))
    monkeypatch.setattr(gradients, 'EPOCHS', {1.0: 1})
    forces = dict(gradients.measure_forces(small))
    assert dict(gradients.measure_forces(small)) == forces
    assert [key[1] for key in forces] == ['before', 'after', 'after, maps cut off', 'before', 'after']
    assert all(np.isfinite(force).all() for force in forces.values())
    contrasts = {key: force.contrast for key, force in forces.items()}
    assert contrasts.pop(('KMCL anisotropic, exact', 'after, maps cut off')) == 0 < min(contrasts.values())
    assert len(forces_table(forces).splitlines()) == 2 + len(forces)


def test_a_table_takes_its_place_in_a_page(tmp_path):
    page = tmp_path / 'results.md'
    page.write_text('before\n<!-- begin frozen -->\nold\n<!-- end frozen -->\nafter\n')
    write_table(page, 'frozen', '| new |')
    assert page.read_text() == 'before\n<!-- begin frozen -->\n| new |\n<!-- end frozen -->\nafter\n'
    with pytest.raises(ValueError, match='begin gradients'):
        write_table(page, 'gradients', '')


@pytest.mark.parametrize('part', PARTS)
def test_the_page_of_results_has_a_place_for_each_table(part):
    before, after = parts_around(PAGE, part)
    assert before.endswith(f'<!-- begin {part} -->') and after.startswith(f'<!-- end {part} -->')


def test_what_a_step_costs_is_told_for_each_form(monkeypatch):
    for kind in ('FORMS', 'CONFIGS'):
        first, second = [*getattr(steps, kind).items()][::4][:2]
        monkeypatch.setattr(steps, kind, dict([first, second]))
    monkeypatch.setattr(steps, 'SIDE', 32)
    costs = dict(steps.measure_steps())
    assert [part for part, _ in costs] == ['head', 'head', 'network', 'network']
    assert all(cost.seconds > 0 for cost in costs.values())
    for part in ('head', 'network'):
        first, second = (cost for (kind, _), cost in costs.items() if kind == part)
        assert first.ratio == 1 and second.ratio == pytest.approx(second.seconds / first.seconds)
    assert len(steps_table(costs).splitlines()) == 6


@pytest.mark.parametrize('name', fine_tuned.CONFIGS)
def test_the_fine_tuned_forms_differ_in_the_head_alone(name):
    cfg = load_config(fine_tuned.CONFIGS[name])
    init_default_scope('mmpretrain')
    head = MODELS.build(cfg.model.head)
    losses = head.loss((torch.rand(4, 1280),), [DataSample().set_gt_score(row) for row in torch.eye(20)[:4]])
    assert sum(losses.values()).isfinite()
    baseline = load_config(fine_tuned.CONFIGS['asymmetric loss, linear'])
    for part in (cfg, baseline):
        part.model.pop('head')
    assert all(cfg[key] == baseline[key] for key in baseline if key not in ('_base_', 'filename'))


def test_the_configuration_with_kernels_at_the_embedding_is_the_measured_one():
    name = 'KMCL, kernels at the embedding'
    offered, *measured = (
        MODELS.build(cfg.model.head)
        for cfg in (load_config(EMBEDDING), FORMS[name].load({}), load_config(fine_tuned.CONFIGS[name]))
    )
    for head in measured:
        assert str(head) == str(offered) and head.kernels == offered.kernels == 'embedding'
        settings, others = (
            {key: value for key, value in vars(loss).items() if key != 'gather_distributed' and key[0] != '_'}
            for loss in (head.loss_module, offered.loss_module)
        )
        assert settings == others


def test_each_form_is_compared_with_both_baselines():
    names = ('asymmetric loss, linear', 'asymmetric loss, projected', 'KMCL')
    noises = dict(zip(names, (1.0, 0.8, 0.5)))
    runs = {(1.0, name, seed): drawn_run(seed, noises[name]) for name in names for seed in (0, 1)}
    runs.pop((1.0, names[1], 1))
    _, _, linear, projected, kernels = comparison_table(
        runs, dict.fromkeys([(1.0, name) for name in names], '')
    ).splitlines()
    assert linear.split('|')[5] == projected.split('|')[6] == '  '
    for column, name, seeds in ((5, names[0], (0, 1)), (6, names[1], (0,))):
        gains = [
            runs[1.0, 'KMCL', seed].mean_average_precision - runs[1.0, name, seed].mean_average_precision
            for seed in seeds
        ]
        assert kernels.split('|')[column].startswith(f' {np.mean(gains):+.2f} (')


def test_the_memory_part_from_heads_to_table(small, monkeypatch):
    monkeypatch.setattr(frozen, 'EPOCHS', {0.25: 10})
    monkeypatch.setattr(memory, 'SHARES', (0.25,))
    names = ('asymmetric loss, linear', 'KMCL, kernels at the embedding')
    monkeypatch.setattr(memory, 'NAMES', names)
    small.seeds = [0]
    runs = dict(memory.run_memory(small))
    assert [*runs] == [(0.25, name, kind, 0) for name in names for kind in ('plain', 'calibrated', 'voted')]
    for name in names:
        plain, calibrated, voted = (runs[0.25, name, kind, 0] for kind in ('plain', 'calibrated', 'voted'))
        # The same order of the images of each label, and other scores.
        assert calibrated.mean_average_precision == pytest.approx(plain.mean_average_precision, abs=1e-3)
        assert not np.allclose(calibrated.scores, plain.scores) and not np.allclose(voted.scores, calibrated.scores)
    _, _, *rows = memory_table(runs).splitlines()
    cells = [row.split(' | ') for row in rows]
    assert [row[2] for row in cells] == ['as they are', 'calibrated', 'with the votes of training images'] * 2
    plain, calibrated = (runs[0.25, names[0], kind, 0] for kind in ('plain', 'calibrated'))
    for row, run in zip(cells, (plain, calibrated)):
        known = run.target != -1
        error = binary_calibration_error(
            torch.from_numpy(run.scores[known]), torch.from_numpy(run.target[known]).long()
        )
        assert float(row[6]) == pytest.approx(error.item(), abs=1e-4)
    assert cells[0][5].strip() == '' and cells[2][5].endswith(')')
    # Kept, and not fitted again.
    monkeypatch.setattr(memory, 'train_head', None)
    assert {key: run.mean_average_precision for key, run in memory.run_memory(small)} == {
        key: run.mean_average_precision for key, run in runs.items()
    }


def test_the_ablations_are_compared_seed_by_seed():
    runs = {(*ASYMMETRIC_TERM, seed): drawn_run(seed) for seed in (0, 1)}
    runs.update({('Width', '64', seed): drawn_run(seed, noise=0.5) for seed in (0, 1)})
    *_, term, width = ablation_table(runs).splitlines()
    assert term.endswith('| +0.00 ± 0.00 |')
    gains = [drawn_run(seed, 0.5).mean_average_precision - drawn_run(seed).mean_average_precision for seed in (0, 1)]
    assert width.endswith(f'| {np.mean(gains):+.2f} ± {np.std(gains, ddof=1):.2f} |')


def test_all_shares_have_forms_and_epochs():
    assert list(EPOCHS) == [1.0, 0.25, 0.1] and 'asymmetric loss, linear' in FORMS
