"""KMCL in PyTorch Lightning: a timm network learns which digits are in a scene.

    pip install "kmcl_mm[examples]"
    python examples/lightning.py

The mAP on scenes of other samples is above 90 %; chance is 23 %. On two CPU cores it takes half a minute.
"""

import argparse

import timm
import torch
from digits import scenes
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics.classification import MultilabelAveragePrecision

from kmcl_mm import KernelMixtureHead, KMCLLoss


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='test_resnet', help="any of timm's networks (%(default)s)")
    parser.add_argument('--epochs', type=int, default=5, help='(%(default)s)')
    parser.add_argument('--scenes', type=int, default=2000, help='scenes to train on (%(default)s)')
    parser.add_argument('--device', default='auto', help="Lightning's accelerator (%(default)s)")
    return parser.parse_args()


class KMCL(LightningModule):
    """A network with a kernel mixture head, trained by the three losses of KMCL."""

    def __init__(self, model: str, num_classes: int) -> None:
        super().__init__()
        # num_classes=0: the network ends with its pooled features.
        self.backbone = timm.create_model(model, num_classes=0)
        self.head = KernelMixtureHead(num_classes=num_classes, in_channels=self.backbone.num_features)
        # With several GPUs all their images are contrasted together.
        self.criterion = KMCLLoss(variant='exact', gather_distributed=True)
        self.average_precision = MultilabelAveragePrecision(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images)).sigmoid()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, target = batch
        losses = self.criterion(*self.head.mixture(self.backbone(images)), target)
        self.log_dict(losses, prog_bar=True)
        return sum(losses.values())

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, target = batch
        self.average_precision(self(images), target.long())
        self.log('mAP', self.average_precision, prog_bar=True)

    def on_train_epoch_end(self) -> None:
        self.print(f'epoch {self.current_epoch + 1}: mAP {100 * self.trainer.callback_metrics["mAP"]:.1f} %')

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


if __name__ == '__main__':
    args = parse_args()
    seed_everything(0)
    trainer = Trainer(max_epochs=args.epochs, accelerator=args.device, logger=False, enable_checkpointing=False)
    train_loader = DataLoader(scenes('train', args.scenes), batch_size=64, shuffle=True, drop_last=True)
    trainer.fit(KMCL(args.model, num_classes=10), train_loader, DataLoader(scenes('test', 500), batch_size=100))
