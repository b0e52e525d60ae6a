"""The page: upload of an image, sliders for thresholds, labels, uncertainty, and similar images."""

from html import escape
from typing import Any

import gradio as gr
import numpy as np

from ..inference import KMCLInferencer, Prediction
from ..inference.decision_rule import describe_rule, thresholds_of
from ..inference.similar import ImageIndex
from .render import render_bars, render_refusal, render_similar, render_uncertainty
from .uncertainty import uncertainty_of
from .upload_component import uploaded_image
from .uploads import RefusedUpload, check_upload

# Number of similar images.
NUM_SIMILAR = 8
# Position of the sliders for a head without thresholds, until one is moved.
_MIDDLE = 0.5
# Digits of a threshold on a slider.
_DIGITS = 3
# Seconds between removals of uploaded files, and their age then.
_DELETE_CACHE = (600, 3600)


class Page:
    """The functions of the page, without its layout.

    Args:
        inferencer: The classifier.
        index: The training images with their pictures, or None.

    Attributes:
        labels: Names of the K labels.
        thresholds: The checkpoint's thresholds (K,), or None if its head predicts the ``topk`` highest labels.
    """

    def __init__(self, inferencer: KMCLInferencer, index: ImageIndex | None = None) -> None:
        self._inferencer, self._index = inferencer, index
        self.labels = inferencer.classes
        self.thresholds = thresholds_of(inferencer.model, self.labels)
        self._topk = inferencer.model.head.topk if self.thresholds is None else None

    def predict(self, path: str) -> Prediction:
        """Predict an uploaded file in the same way as tools/predict.py.

        Args:
            path: The file.

        Returns:
            The prediction, with its embedding.

        Raises:
            RefusedUpload: It is no image, too large, or damaged.
        """
        check_upload(path)
        predictions = self._inferencer(path, with_embedding=True, with_progress=False)
        if predictions.skipped:
            raise RefusedUpload('This image is damaged and cannot be decoded. Save it again, or use another one.')
        return predictions.images[0]

    def bars(self, scores: np.ndarray | None, thresholds: np.ndarray | None) -> str:
        """Render the labels at these thresholds.

        Args:
            scores: Scores (K,), or None before there is an image.
            thresholds: Thresholds (K,), or None to predict the head's ``topk`` highest labels.

        Returns:
            HTML.
        """
        return render_bars(scores, self.labels, thresholds, self._topk)

    def show(self, path: str | None, thresholds: np.ndarray | None) -> tuple[np.ndarray | None, str, str, str, str]:
        """Predict an image, and render all that the page shows of it.

        Args:
            path: The uploaded file, or None after it was removed.
            thresholds: Thresholds (K,), or None.

        Returns:
            Scores (K,) or None, and as HTML, empty where there is nothing to show: why the file was refused, the
            labels, the uncertainty and the similar images.
        """
        if path is None:
            return None, '', self.bars(None, thresholds), '', ''
        try:
            prediction = self.predict(path)
        except RefusedUpload as refusal:
            return None, render_refusal(str(refusal)), self.bars(None, thresholds), '', ''
        similar = render_similar(prediction, self._index, NUM_SIMILAR)
        uncertainty = render_uncertainty(uncertainty_of(prediction, self._index))
        return prediction.scores, '', self.bars(prediction.scores, thresholds), uncertainty, similar

    def set_all(self, value: float, scores: np.ndarray | None) -> tuple[np.ndarray, str]:
        """Set one threshold for all labels.

        Args:
            value: The threshold.
            scores: Scores (K,) of the image that is shown, or None.

        Returns:
            Thresholds (K,), and the labels as HTML.
        """
        thresholds = np.full(len(self.labels), value, np.float32)
        return thresholds, self.bars(scores, thresholds)

    def set_one(
        self, label: int | None, value: float, thresholds: np.ndarray | None, scores: np.ndarray | None
    ) -> tuple[np.ndarray | None, str]:
        """Set the threshold of one label.

        Args:
            label: Index of the label, or None if none is chosen.
            value: Its threshold.
            thresholds: Thresholds (K,) of all labels, or None.
            scores: Scores (K,) of the image that is shown, or None.

        Returns:
            Thresholds (K,), and the labels as HTML.
        """
        if label is not None:
            thresholds = self._numbers(thresholds).copy()
            thresholds[label] = value
        return thresholds, self.bars(scores, thresholds)

    def threshold_of(self, label: int | None, thresholds: np.ndarray | None) -> float:
        """The position of the slider of one label.

        Args:
            label: Index of the label, or None if none is chosen.
            thresholds: Thresholds (K,), or None.

        Returns:
            Its threshold, rounded to three digits.
        """
        return round(float(self._numbers(thresholds)[label or 0]), _DIGITS)

    def common_threshold(self) -> float:
        """The first position of the slider of all labels: the mean of the checkpoint's thresholds, rounded to 0.01."""
        return round(float(self._numbers(self.thresholds).mean()), 2)

    def describe_thresholds(self) -> str:
        """Describe the rule by which the checkpoint predicts labels."""
        rule = describe_rule(self.thresholds, self._topk)
        return f'{rule} A slider changes that.' if self.thresholds is None else rule

    def _numbers(self, thresholds: np.ndarray | None) -> np.ndarray:
        return np.full(len(self.labels), _MIDDLE, np.float32) if thresholds is None else thresholds


def make_blocks(page: Page, title: str) -> gr.Blocks:
    """Lay out the page.

    Args:
        page: Its functions.
        title: Its title.

    Returns:
        Gradio's blocks, which :func:`kmcl_mm.apps.webapp.server.running_page` launches.
    """
    quietly: dict[str, Any] = dict(show_progress='hidden', api_visibility='private', trigger_mode='always_last')
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=_DELETE_CACHE) as blocks:
        thresholds, scores = gr.State(page.thresholds), gr.State(None)
        gr.HTML(f'<h1 class="kmcl-title">{escape(title)}</h1>')
        with gr.Row():
            with gr.Column():
                image = uploaded_image(label='Image', sources=['upload', 'clipboard'], height=360, elem_id='image')
                refusal = gr.HTML(elem_id='refusal')
                with gr.Accordion('Thresholds'):
                    gr.Markdown(page.describe_thresholds())
                    common = gr.Slider(
                        0,
                        1,
                        page.common_threshold(),
                        step=0.01,
                        label='The same for all labels',
                        buttons=[],
                        elem_id='all-labels',
                    )
                    label = gr.Dropdown(
                        page.labels, value=None, type='index', label='For one label alone', elem_id='label'
                    )
                    single = gr.Slider(
                        0,
                        1,
                        step=0.001,
                        label='Threshold of this label',
                        interactive=True,
                        visible=False,
                        buttons=[],
                        elem_id='one-label',
                    )
                    reset = gr.Button("Back to the checkpoint's thresholds", size='sm', elem_id='reset')
            with gr.Column():
                bars = gr.HTML(page.bars(None, page.thresholds), elem_id='labels')
                uncertainty = gr.HTML(elem_id='uncertainty')
        similar = gr.HTML(elem_id='similar')

        image.change(
            page.show,
            [image, thresholds],
            [scores, refusal, bars, uncertainty, similar],
            api_visibility='private',
            show_progress_on=[bars],
            trigger_mode='always_last',
        )
        common.input(page.set_all, [common, scores], [thresholds, bars], **quietly).then(
            page.threshold_of, [label, thresholds], single, **quietly
        )
        label.input(
            lambda label, thresholds: gr.Slider(value=page.threshold_of(label, thresholds), visible=label is not None),
            [label, thresholds],
            single,
            **quietly,
        )
        single.input(page.set_one, [label, single, thresholds, scores], [thresholds, bars], **quietly)
        reset.click(
            lambda label, scores: (
                page.thresholds,
                page.bars(scores, page.thresholds),
                page.common_threshold(),
                page.threshold_of(label, page.thresholds),
            ),
            [label, scores],
            [thresholds, bars, common, single],
            **quietly,
        )
    return blocks
