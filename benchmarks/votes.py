"""Time that the votes of training images take of a prediction: python -m benchmarks.votes

A TResNet-M at 224 px with random weights predicts batches of images with and without a calibration in which as many
random images vote as COCO has for training, with 80 labels. Prints the size of the memory, and the time per image of
the network and of what the calibration adds, in turn in one run. Two minutes on two cores.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from mmengine.registry import init_default_scope

import kmcl_mm
from kmcl_mm.apps.calibration.described_images import DescribedImages
from kmcl_mm.apps.calibration.fitting import widths_for, with_memories
from kmcl_mm.functional.calibration import Regression
from kmcl_mm.modules.calibration import descriptions_of
from kmcl_mm.modules.kernel_memory import KernelMemory

CONFIG = 'kmcl_tresnet_m_coco'
SIZE = 224


def drawn_images(head: torch.nn.Module, number: int) -> DescribedImages:
    """Random features as a head describes them, with random labels."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(number, head.in_channels, generator=generator)
    with torch.inference_mode():
        logits = head((features,))
        descriptions = descriptions_of(head, (features,), logits)
    target = (torch.rand(logits.shape, generator=generator) < 0.04).to(torch.int8)
    names = [f'{place:012}.jpg' for place in range(number)]
    return DescribedImages(descriptions, logits, target, target, names, range(number))


def seconds(functions: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median time of each function, called in turn after a call that is not counted."""
    found = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repeat:
                found[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--voters', type=int, default=82_081, help='training images that vote (%(default)s)')
    parser.add_argument('--megabytes', type=float, default=64, help='size of the memory, at the most (%(default)s)')
    parser.add_argument('--neighbours', type=int, default=200, help='that vote on an image (%(default)s)')
    parser.add_argument('--images', nargs='+', type=int, default=[1, 32], help='images in a batch')
    parser.add_argument('--repeats', type=int, default=10, help='batches that are timed')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = kmcl_mm.get_model(CONFIG)
    training = drawn_images(model.head, args.voters)
    widths = widths_for(training, args.megabytes)
    memories = [
        KernelMemory.of(images, width, neighbours=args.neighbours)
        for images, width in zip(training.descriptions, widths)
    ]
    regression = Regression(torch.ones(3), torch.zeros(training.target.shape[1]))
    calibration = with_memories(regression, memories, training)
    state = calibration.state()
    parts = [memory[name] for memory in state['memories'] for name in ('vectors', 'projection')]
    size = sum(part.nbytes for part in (state['target'], *parts) if part is not None)
    all_widths = [part.shape[1] for part in training.descriptions]
    print(f'{args.voters:,} images, {list(widths)} of {all_widths} dimensions: {size / 1e6:.1f} MB')
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads')
    for number in args.images:
        images = torch.randn(number, 3, SIZE, SIZE)
        with torch.inference_mode():
            features = model.extract_feat(images)
            logits = model.head.forward(features)
            descriptions = descriptions_of(model.head, features, logits)
            times = seconds(
                dict(
                    network=lambda images=images: model.extract_feat(images),
                    votes=lambda parts=(logits, *descriptions): calibration(*parts),
                ),
                args.repeats,
            )
        network, votes = (1e3 * times[name] / number for name in ('network', 'votes'))
        print(f'batches of {number}: network {network:.1f} ms an image, votes {votes:.2f} ms, {votes / network:.1%}')


if __name__ == '__main__':
    main()
