"""The tables of docs/configs.md against the configurations."""

import re

import kmcl_mm
from tests.conftest import ROOT
from tests.test_model_index import PUBLISHED

PAGE = (ROOT / 'docs/configs.md').read_text()
# Name, data and network, machine, published mAP.
ROWS = dict(
    (name, cells) for name, *cells in re.findall(r'^\| `([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \|$', PAGE, re.MULTILINE)
)


def test_every_configuration_has_a_row():
    assert sorted(ROWS) == kmcl_mm.list_models()


def test_a_row_says_what_the_configuration_says():
    for name, (content, machine, published) in ROWS.items():
        comment = ' '.join((ROOT / f'configs/{name}.py').read_text().split('\n\n_base_')[0].replace('# ', '').split())
        assert published == str(PUBLISHED.get(name, 'none'))
        if size := re.search(r'(\d+) px', content):
            (scale,) = {
                tuple(transform.scale)
                for transform in kmcl_mm.get_config(name).test_dataloader.dataset.pipeline
                if transform.type == 'Resize'
            }
            assert scale == (int(size[1]),) * 2
        assert (machine == 'four GPUs') == ('Four GPUs' in comment)


def test_the_recipe_is_where_the_page_says():
    """Each setting of the last table is one of the configurations of the recipe."""
    table = PAGE.partition('## Where the recipe stands')[2]
    settings = {
        setting
        for row in re.findall(r'^\| [^|]+ \| ([^|]+) \|', table, re.MULTILINE)
        for setting in re.findall(r'`([a-z_]+(?:\.[a-z_]+)+)', row)
    }
    assert len(settings) > 12
    for name in ('kmcl_tresnet_m_coco', 'kmcl_tresnet_l_coco'):
        cfg = kmcl_mm.get_config(name)
        for setting in settings:
            part = cfg
            for key in setting.split('.'):
                assert key in part, setting
                part = part[key]
