"""The style of the report's charts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bokeh.models import CustomJS, GlyphRenderer, HoverTool, TapTool
from bokeh.plotting import figure

# Colours that most colour-blind readers can distinguish (Okabe and Ito), without the yellow, which is faint on white.
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00')
QUIET = '#b8bdc7'
INK = '#1f2937'
ACCENT = '#ea580c'
_LINE = '#e5e7eb'


def new_chart(x: str, y: str, height: int = 300, **settings: Any) -> figure:
    """An empty chart as wide as its place on the page.

    It does not react to dragging or the wheel, so that the page scrolls.

    Args:
        x: Title of the horizontal axis, with its unit.
        y: Title of the vertical axis, with its unit.
        height: Height in pixels.
        **settings: Settings of Bokeh's ``figure``.

    Returns:
        The chart.
    """
    defaults = dict(toolbar_location=None, tools='', x_axis_label=x, y_axis_label=y)
    chart = figure(
        height=height, sizing_mode='stretch_width', active_drag=None, active_scroll=None, **{**defaults, **settings}
    )
    chart.outline_line_color = None
    chart.grid.grid_line_color = _LINE
    chart.axis.axis_line_color = QUIET
    chart.axis.major_tick_line_color = QUIET
    chart.axis.minor_tick_line_color = None
    chart.axis.major_label_text_font_size = '12px'
    chart.axis.major_label_text_color = INK
    chart.axis.axis_label_text_font_size = '13px'
    chart.axis.axis_label_text_font_style = 'normal'
    chart.axis.axis_label_text_color = INK
    return chart


def style_legend(chart: figure, columns: int = 2) -> None:
    """Put the legend of a chart above it, where a tap on a name hides its curve.

    Args:
        chart: The chart, with a legend.
        columns: Number of names per row; three short ones fit on a phone.
    """
    legend = chart.legend[0]
    chart.center.remove(legend)
    chart.add_layout(legend, 'above')
    legend.click_policy = 'hide'
    legend.orientation = 'horizontal'
    legend.ncols = columns
    legend.location = 'top_left'
    legend.border_line_color = None
    legend.label_text_font_size = '13px'
    legend.label_text_color = INK
    legend.padding = legend.margin = 0
    legend.spacing = 8


def add_tooltips(
    chart: figure, renderers: Sequence[GlyphRenderer], tooltips: str | Sequence[tuple[str, str]], **settings: Any
) -> None:
    """Add tooltips for the pointer and for taps.

    Args:
        chart: The chart.
        renderers: Its parts that have tooltips.
        tooltips: Names and fields, or HTML, for Bokeh's ``HoverTool``, which escapes the values of the fields.
        **settings: Settings of Bokeh's ``HoverTool``.
    """
    renderers = list(renderers)
    chart.add_tools(HoverTool(renderers=renderers, tooltips=tooltips, **settings))
    chart.add_tools(TapTool(renderers=renderers, behavior='inspect'))


def script(name: str, **arguments: Any) -> CustomJS:
    """Load one of this folder's scripts, which a chart runs in the browser.

    Args:
        name: Its name, without the ending.
        **arguments: Variables of the script: models of Bokeh, and plain values.

    Returns:
        The script, for ``js_on_change``.
    """
    return CustomJS(args=arguments, code=read_text(f'{name}.js'))


def read_text(name: str) -> str:
    """Read a text file of this folder.

    Args:
        name: Its name.

    Returns:
        The text.
    """
    return (Path(__file__).parent / name).read_text(encoding='utf-8')
