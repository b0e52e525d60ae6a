"""How the charts of the report look."""

from pathlib import Path
from typing import Any, Sequence, Tuple, Union

from bokeh.models import CustomJS, GlyphRenderer, HoverTool, TapTool
from bokeh.plotting import figure

# Colours that are told apart by most colour-blind readers (Okabe and Ito), without the yellow, which is faint on white.
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00')
QUIET = '#b8bdc7'
INK = '#1f2937'
ACCENT = '#ea580c'
_LINE = '#e5e7eb'


def new_chart(x: str, y: str, height: int = 300, **settings: Any) -> figure:
    """An empty chart as wide as its place on the page.

    Nothing in it takes a drag or a turn of the wheel for itself, so that the page scrolls under a finger.

    Args:
        x: What is on the horizontal axis, with its unit.
        y: What is on the vertical axis, with its unit.
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
    """Put the legend of a chart above it, where a tap on a name hides what it names.

    Args:
        chart: The chart, with a legend.
        columns: Number of names side by side; three short ones fit on a phone.
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
    chart: figure, renderers: Sequence[GlyphRenderer], tooltips: Union[str, Sequence[Tuple[str, str]]], **settings: Any
) -> None:
    """Say what is under the pointer, or where a finger taps.

    Args:
        chart: The chart.
        renderers: What of it has something to say.
        tooltips: Names and fields, or HTML, as Bokeh's ``HoverTool`` takes them. It escapes the values of the fields.
        **settings: Settings of Bokeh's ``HoverTool``.
    """
    renderers = list(renderers)
    chart.add_tools(HoverTool(renderers=renderers, tooltips=tooltips, **settings))
    chart.add_tools(TapTool(renderers=renderers, behavior='inspect'))


def script(name: str, **arguments: Any) -> CustomJS:
    """One of the scripts in this folder, which a chart runs in the browser.

    Args:
        name: Its name, without the ending.
        **arguments: What it knows by these names: models of Bokeh, and plain values.

    Returns:
        The script, for ``js_on_change``.
    """
    return CustomJS(args=arguments, code=read_text(f'{name}.js'))


def read_text(name: str) -> str:
    """A file of this folder.

    Args:
        name: Its name.

    Returns:
        Its text.
    """
    return (Path(__file__).parent / name).read_text(encoding='utf-8')
