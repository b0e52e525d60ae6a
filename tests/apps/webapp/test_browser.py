"""The page in a headless Chromium."""

import re
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from kmcl_mm.apps.webapp.page import Page
from tests.apps.inference.conftest import LABELS
from tests.apps.webapp.conftest import THRESHOLDS
from tests.apps.webapp.test_uploads import png_of


@pytest.fixture
def tab(browser, served):
    """The page in a tab, at the end of which nothing has been asked of another address and no script has failed."""
    tab, addresses, errors = browser.new_page(viewport=dict(width=1280, height=900)), [], []
    tab.on('request', lambda request: addresses.append(request.url))
    tab.on('websocket', lambda websocket: addresses.append(websocket.url))
    tab.on('pageerror', lambda error: errors.append(str(error)))
    tab.goto(served.local_url)
    expect(tab.locator('#labels')).to_contain_text('Drop an image')
    yield tab
    tab.close()
    assert len(addresses) > 10
    assert {urlsplit(url).netloc for url in addresses if not url.startswith(('data:', 'blob:'))} == {
        urlsplit(served.local_url).netloc
    }
    assert errors == []


def drop(tab, path):
    if tab.get_by_role('button', name='Remove Image').count():
        tab.get_by_role('button', name='Remove Image').click()
        expect(tab.locator('#labels')).to_contain_text('Drop an image')
    tab.locator('#image input[type=file]').set_input_files(path)


def predicted(tab):
    return tab.locator('.kmcl-on').evaluate_all('bars => bars.map(bar => bar.dataset.label)')


def slide(tab, slider, value):
    tab.locator(f'{slider} input[type=number]').fill(str(value))
    tab.locator(f'{slider} input[type=number]').press('Tab')


def test_an_image_is_predicted_and_thresholds_slide(tab, photo, inferencer, index, monkeypatch):
    drop(tab, photo)
    expect(tab.locator('.kmcl-bar')).to_have_count(3)
    (prediction,) = inferencer(photo, with_embedding=True, with_progress=False).images
    shown = dict(zip(tab.locator('.kmcl-name').all_inner_texts(), tab.locator('.kmcl-score').all_inner_texts()))
    assert shown == {name: f'{score:.1%}' for name, score in zip(LABELS, prediction.scores)}
    assert predicted(tab) == list(prediction.labels)
    expect(tab.locator('#uncertainty')).to_contain_text('of the training images in the index')

    nearest = np.linalg.norm(index.embeddings - prediction.embedding, axis=1).argsort()[:8]
    pictures = tab.locator('#similar img')
    expect(pictures).to_have_count(8)
    assert [pictures.nth(place).get_attribute('alt') for place in range(8)] == [index.names[n] for n in nearest]
    tab.wait_for_function("[...document.querySelectorAll('#similar img')].every(image => image.naturalWidth > 0)")

    monkeypatch.setattr(Page, 'predict', lambda *_: pytest.fail('the network ran again'))
    slide(tab, '#all-labels', 0)
    expect(tab.locator('.kmcl-on')).to_have_count(3)
    slide(tab, '#all-labels', 1)
    expect(tab.locator('.kmcl-on')).to_have_count(0)

    tab.locator('#label input').click()
    tab.get_by_role('option', name='rust').click()
    expect(tab.locator('#one-label input[type=number]')).to_have_value('1')
    slide(tab, '#one-label', 0.001)
    expect(tab.locator('.kmcl-on')).to_have_count(1)
    assert predicted(tab) == ['rust']

    tab.locator('#reset').click()
    expect(tab.locator('#one-label input[type=number]')).to_have_value(str(THRESHOLDS['rust']))
    expect(tab.locator('.kmcl-on')).to_have_count(len(prediction.labels))
    assert predicted(tab) == list(prediction.labels)


def test_the_handle_of_the_slider_moves_the_labels(tab, photo):
    drop(tab, photo)
    handle = tab.locator('#all-labels input[type=range]')
    expect(tab.locator('.kmcl-bar')).to_have_count(3)
    handle.focus()
    handle.press('Home')
    expect(tab.locator('.kmcl-on')).to_have_count(3)
    handle.press('End')
    expect(tab.locator('.kmcl-on')).to_have_count(0)


def test_files_that_are_no_images_get_our_message_and_the_page_goes_on(tab, photo, tmp_path):
    text, damaged, bomb = tmp_path / 'text.jpg', tmp_path / 'damaged.jpg', tmp_path / 'bomb.png'
    text.write_text('no image')
    damaged.write_bytes(photo.read_bytes()[:900])
    bomb.write_bytes(png_of(60000, 60000))
    for path, words in ((text, 'not an image'), (damaged, 'damaged'), (bomb, 'too large')):
        drop(tab, path)
        expect(tab.get_by_role('alert').filter(has_text=words)).to_be_visible()
        expect(tab.locator('#labels')).to_contain_text('Drop an image')
        assert not re.search(r'Traceback|File "|/tmp', tab.locator('body').inner_text())
    drop(tab, photo)
    expect(tab.locator('.kmcl-bar')).to_have_count(3)
    expect(tab.locator('#refusal')).to_be_hidden()


def test_a_file_that_is_too_large_is_refused_in_words(tab, tmp_path):
    large = tmp_path / 'large.jpg'
    large.write_bytes(bytes(600_000))
    drop(tab, large)
    expect(tab.get_by_text(re.compile('exceed', re.IGNORECASE)).first).to_be_visible()
    expect(tab.locator('#labels')).to_contain_text('Drop an image')


def test_on_a_phone_nothing_is_wider_than_the_screen(tab, photo):
    tab.set_viewport_size(dict(width=390, height=844))
    drop(tab, photo)
    expect(tab.locator('#similar img')).to_have_count(8)
    assert tab.evaluate('document.documentElement.scrollWidth') == 390
    # Names of files and labels are shown as text.
    expect(tab.get_by_role('heading', name='Small <b>model</b>')).to_be_visible()
