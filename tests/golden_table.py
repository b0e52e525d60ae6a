"""Print how far the reference variant is from the published code: python -m tests.golden_table

The largest difference of each tensor, relative to its largest number, for every golden case.
"""

from tests.conftest import GOLDEN_CASES, Golden
from tests.models.test_kmcl_head import golden_mixture
from tests.modules.test_kmcl_loss import NAMES, golden_loss


def difference(ours, published) -> float:
    published = published.double()
    return (
        (ours.detach().double().view_as(published) - published).abs().max() / published.abs().max().clamp(min=1e-30)
    ).item()


def differences(case: str) -> dict:
    golden = Golden(case)
    if case.startswith('head'):
        return {
            name: difference(part, golden[f'out/{name}']) for name, part in golden_mixture(golden)._asdict().items()
        }
    losses, inputs = golden_loss(golden)
    total = sum(losses.values())
    total.backward()
    result = {published: difference(losses[name], golden[f'out/{published}']) for name, published in NAMES.items()}
    result['total'] = difference(total, golden['out/total'])
    return {
        **result,
        **{f'd/d {name}': difference(tensor.grad, golden[f'grad/{name}']) for name, tensor in inputs.items()},
    }


def main() -> None:
    for case in GOLDEN_CASES:
        if case.startswith(('loss', 'head')):
            found = differences(case)
            largest = max(found, key=found.get)
            print(
                f'{case:40} largest {found[largest]:.1e} ({largest}); '
                + ', '.join(f'{name} {value:.0e}' for name, value in found.items())
            )


if __name__ == '__main__':
    main()
