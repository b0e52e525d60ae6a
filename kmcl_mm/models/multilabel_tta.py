"""Test-time augmentation of multilabel classifiers."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample


@MODELS.register_module()
class MultiLabelTTA(BaseTTAModel):
    """Average the scores of an image's views, and predict the labels whose average reaches the head's threshold.

    MMPretrain's ``AverageClsScoreTTA`` averages the scores too, but keeps the labels that were predicted for the first
    view.

    Args:
        module: The classifier, or its configuration.
        data_preprocessor: A preprocessor in place of the classifier's.

    Example:
        >>> import torch
        >>> from mmpretrain.registry import MODELS
        >>> from mmpretrain.structures import DataSample
        >>> head = dict(type='KMCLHead', num_classes=2, in_channels=96, thr=0.5)
        >>> backbone = dict(type='TIMMBackbone', model_name='test_resnet')
        >>> model = MODELS.build(
        ...     dict(type='MultiLabelTTA', module=dict(type='ImageClassifier', backbone=backbone, head=head)))
        >>> views = [DataSample().set_pred_score(torch.tensor(scores)) for scores in ([0.9, 0.1], [0.3, 0.7])]
        >>> model.merge_preds([views])[0].pred_label.tolist()
        [0]
    """

    def merge_preds(self, data_samples_list: Sequence[Sequence[DataSample]]) -> list[DataSample]:
        """Merge the predictions of each image's views.

        Args:
            data_samples_list: The data samples of the views, one sequence per image.

        Returns:
            One data sample per image, with ``pred_score`` (K,) and ``pred_label``, indices.
        """
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: Sequence[DataSample]) -> DataSample:
        scores = torch.stack([view.pred_score for view in views]).mean(dim=0)
        head = self.module.head
        labels = torch.where(scores >= head.thr)[0] if head.thr is not None else scores.topk(head.topk).indices
        return views[0].new().set_pred_score(scores).set_pred_label(labels)
