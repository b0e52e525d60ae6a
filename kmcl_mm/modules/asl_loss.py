"""The asymmetric loss alone: the baseline of KMCL."""

from torch import Tensor, nn

from ..functional import asymmetric_loss


class ASLLoss(nn.Module):
    """Asymmetric loss as its authors train with it: a sum, and no gradient through the focusing weight.

    MMPretrain's ``AsymmetricLoss`` takes a mean and lets the gradient through. Computed in float32 (float64 stays
    float64) whatever the network's precision. Fits MMPretrain's multilabel heads.

    Args:
        gamma_neg: Focusing exponent of absent labels.
        gamma_pos: Focusing exponent of present labels.
        clip: Probability margin of absent labels.
        loss_weight: Weight of the loss.

    Source: arXiv:2009.14119.

    Example:
        >>> import torch
        >>> from kmcl_mm import ASLLoss
        >>> ASLLoss(gamma_neg=0, clip=0)(torch.zeros(1, 2), torch.tensor([[1., 0.]]))  # 2 log 2
        tensor(1.3863)
    """

    def __init__(
        self, gamma_neg: float = 4.0, gamma_pos: float = 0.0, clip: float = 0.05, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        self.loss_weight = loss_weight

    def forward(self, cls_score: Tensor, target: Tensor, avg_factor: int | None = None) -> Tensor:
        """Compute the weighted loss.

        Args:
            cls_score: Logits (N, K).
            target: Targets (N, K): 1 present, 0 absent, -1 unknown.
            avg_factor: The number of images, which MMPretrain's heads pass; ignored, as the loss is a sum.

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: The shapes differ, or a target has another value.
        """
        return self.loss_weight * asymmetric_loss(cls_score, target, self.gamma_neg, self.gamma_pos, self.clip)
