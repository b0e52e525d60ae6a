"""The page in a headless Chromium, opened as a file."""

import runpy
import sys

import pytest
from playwright.sync_api import expect

from tests.apps.report.conftest import LABELS
from tests.conftest import ROOT

# The place of the first image of the map on the screen, and its name.
FIRST_DOT = """() => {
  const plot = Bokeh.documents[0].get_model_by_name('map').children[1];
  const view = Bokeh.index.find_one_by_id(plot.id), box = view.el.getBoundingClientRect();
  const { x, y, name } = plot.renderers[0].data_source.data;
  return [box.x + view.frame.x_scale.compute(x[0]), box.y + view.frame.y_scale.compute(y[0]), name[0]];
}"""
# The place of the first dot of the reliability diagram on the screen, and its number of pairs.
FIRST_BIN = """() => {
  const plot = Bokeh.documents[0].get_model_by_name('reliability');
  const view = Bokeh.index.find_one_by_id(plot.id), box = view.el.getBoundingClientRect();
  const { score, share, pairs } = plot.renderers[2].data_source.data;
  return [box.x + view.frame.x_scale.compute(score[0]), box.y + view.frame.y_scale.compute(share[0]), pairs[0]];
}"""
CHARTS = (
    'loss_asl loss_reconstruction loss_contrastive mAP frequency precision_recall thresholds reliability cooccurrence '
    'similarity map'
).split()


@pytest.fixture(scope='module')
def page(training, tmp_path_factory):
    """The page of a training whose labels and file names look like HTML."""
    path = tmp_path_factory.mktemp('page') / 'report.html'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['report.py', str(training[0]), '--out', str(path)])
        runpy.run_path(str(ROOT / 'tools/report.py'), run_name='__main__')
    return path


@pytest.fixture
def opened(browser, page):
    """Open the page at a width; it asks for nothing, says nothing is wrong, and takes no name for HTML."""
    contexts, asked, wrong = [], [], []

    def open_page(width, **settings):
        contexts.append(browser.new_context(viewport=dict(width=width, height=900), offline=True, **settings))
        tab = contexts[-1].new_page()
        tab.on('request', lambda request: asked.append(request.url))
        tab.on('pageerror', lambda error: wrong.append(str(error)))
        tab.on('console', lambda message: wrong.append(message.text) if message.type in ('error', 'warning') else None)
        tab.goto(page.as_uri())
        tab.wait_for_function('window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle')
        return tab

    yield open_page
    for context in contexts:
        for tab in context.pages:
            assert tab.evaluate('window.hacked') is None
        context.close()
    assert [url for url in asked if not url.startswith('data:')] == [page.as_uri()] * len(contexts)
    assert wrong == []


def show_map(tab):
    tab.evaluate("document.querySelector('#map').scrollIntoView({ behavior: 'instant' })")
    return tab.evaluate(FIRST_DOT)


@pytest.mark.parametrize('width', [390, 1280])
def test_all_charts_are_drawn_and_nothing_is_wider_than_the_screen(opened, page, width):
    tab = opened(width)
    for name in CHARTS:
        assert tab.evaluate(f"Bokeh.documents[0].get_model_by_name('{name}') !== null"), name
    boxes = tab.locator('.card .bk-Canvas').evaluate_all('all => all.map((box) => [box.clientWidth, box.clientHeight])')
    assert len(boxes) == len(CHARTS) and all(wide > 200 and high > 150 for wide, high in boxes)
    assert tab.evaluate('document.documentElement.scrollWidth') == width
    tab.wait_for_function('[...document.images].every((image) => image.complete && image.naturalWidth > 0)')
    assert tab.evaluate('document.images.length') > 10
    assert page.stat().st_size < 5e6


def test_pointing_at_the_map_shows_the_image(opened):
    tab = opened(1280)
    x, y, name = show_map(tab)
    tab.mouse.move(x, y)
    picture = tab.locator('.bk-Tooltip img').first
    expect(picture).to_be_visible()
    assert picture.evaluate('image => image.naturalWidth') == 64
    expect(tab.locator('.bk-Tooltip b').first).to_have_text(name)
    assert name.startswith('<b>')


def test_tapping_the_map_shows_the_image_until_the_next_tap(opened):
    tab = opened(390, has_touch=True, is_mobile=True)
    x, y, name = show_map(tab)
    tab.touchscreen.tap(x, y)
    expect(tab.locator('.bk-Tooltip b').first).to_have_text(name)
    tab.wait_for_timeout(500)
    expect(tab.locator('.bk-Tooltip b').first).to_have_text(name)
    assert tab.evaluate('document.documentElement.scrollWidth') == 390


def test_pointing_at_the_reliability_diagram_shows_the_numbers_of_a_bin(opened):
    tab = opened(1280)
    tab.evaluate("document.querySelector('#reliability').scrollIntoView({ behavior: 'instant' })")
    x, y, pairs = tab.evaluate(FIRST_BIN)
    tab.mouse.move(x, y)
    tooltip = tab.locator('.bk-Tooltip').first
    for text in ('scores:', 'mean score:', 'share present:', 'pairs:', str(pairs)):
        expect(tooltip).to_contain_text(text)


def test_fields_choose_what_is_shown(opened):
    """Labels are listed by the number of their images, and named as they are."""
    tab = opened(1280)
    model = "Bokeh.documents[0].get_model_by_name('{}')"

    select = tab.locator('select').nth(0)
    names = select.locator('option').all_inner_texts()
    assert set(names) == {'none', *LABELS[:3]}
    select.select_option(index=2)
    chosen = (
        f'{model.format("precision_recall")}.children[1].renderers.find((line) => line.glyph.line_width.value === 4)'
    )
    assert tab.evaluate(f'{chosen}.visible') and tab.evaluate(f'{chosen}.data_source.data.name[0]') == names[2]

    def recall():
        chart = f'{model.format("thresholds")}.children[1]'
        return tab.evaluate(f'[...{chart}.renderers[1].data_source.data.recall]')

    average = recall()
    tab.locator('select').nth(1).select_option(label=LABELS[2])
    assert recall() != average and len(recall()) == 101

    def groups():
        return tab.evaluate(f'{model.format("map")}.children[1].renderers[0].data_source.data.group')

    tab.locator('select').nth(2).select_option(label=LABELS[1])
    present = tab.evaluate(f'{model.format("map")}.children[1].renderers[0].data_source.data.present')
    assert groups() == ['0' if 1 in labels else '-1' for labels in present] and '0' in groups()
