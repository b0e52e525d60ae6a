"""Tables as people export them, each drawn by hand: read rightly, or refused with what to do."""

import http.server
import io
import re
import threading
from functools import partial

import pandas as pd
import pytest
from mmpretrain.registry import DATASETS

from kmcl_mm.errors import UnreadableImageError
from tests.conftest import ROOT
from tests.docs.pages import blocks

NAMES = ('001.jpg', '002.jpg', '003.jpg')
CLASSES = ('box', 'disc')
# The labels of the three images in every table that is read.
LABELS = [[0, 1], [], [1]]
FRAME = pd.DataFrame(dict(image=NAMES, box=[1, 0, 0], disc=[1, 0, 1]))
JOINED = pd.DataFrame(dict(image=NAMES, labels=['box|disc', '', 'disc']))
LISTS = pd.DataFrame(dict(image=NAMES, labels=[['box', 'disc'], [], ['disc']]))
NAMED = dict(label_column='labels', metainfo=dict(classes=CLASSES))


@pytest.fixture
def table(draw_images):
    def build(content, name='table.csv', **settings):
        root = draw_images('images', NAMES)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return DATASETS.build(
            dict(type='TableMultiLabel', data_root=str(root), ann_file=name, data_prefix='images', **settings)
        )

    return build


def as_parquet(frame):
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


READ = {
    'Excel, empty columns and rows': (
        'image,box,disc,,\r\n001.jpg,1,1,,\r\n002.jpg,0,0,,\r\n003.jpg,0,1,,\r\n,,,,\r\n',
        {},
    ),
    'Excel, rows longer than the header': ('image,box,disc\n001.jpg,1,1,,\n002.jpg,0,0\n003.jpg,0,1, ,\n', {}),
    'Excel, rows without their last cells': ('image,labels,note\n001.jpg,box|disc,x\n002.jpg\n003.jpg,disc\n', NAMED),
    'Excel, an empty column between others': ('image,,box,disc\n001.jpg,,1,1\n002.jpg,,0,0\n003.jpg,,0,1\n', {}),
    'Excel, empty first rows': ('\r\n,,\r\nimage,box,disc\r\n001.jpg,1,1\r\n002.jpg,0,0\r\n003.jpg,0,1\r\n', {}),
    'Excel, semicolons': ('\ufeffimage;box;disc\r\n001.jpg;1;1\r\n002.jpg;0;0\r\n003.jpg;0;1\r\n', {}),
    'Excel, semicolons and commas in cells': (
        'image;labels\n001.jpg;box,disc\n002.jpg;\n003.jpg;disc\n',
        dict(NAMED, separator=','),
    ),
    'Excel, the separator declared': ('sep=;\r\nimage;box;disc\r\n001.jpg;1;1\r\n002.jpg;0;0\r\n003.jpg;0;1\r\n', {}),
    'Excel, decimal commas': ('image;box;disc\n001.jpg;1,0;1,00\n002.jpg;0,0;0,00\n003.jpg;0,0;1,00\n', {}),
    'Excel, decimals': ('image,box,disc\n001.jpg,1.0,1.00\n002.jpg,0.0,0\n003.jpg,0.0,1\n', {}),
    'Excel, TRUE and FALSE': ('image,box,disc\n001.jpg,TRUE,TRUE\n002.jpg,FALSE,FALSE\n003.jpg,FALSE,TRUE\n', {}),
    'Excel in German, WAHR and FALSCH': (
        'image;box;disc\n001.jpg;WAHR;WAHR\n002.jpg;FALSCH;FALSCH\n003.jpg;FALSCH;WAHR\n',
        dict(present_values=['wahr'], absent_values=['falsch']),
    ),
    'Excel, crosses': (
        'image,box,disc\n001.jpg,x,X\n002.jpg,,\n003.jpg,,x\n',
        dict(present_values=['x'], absent_values=['']),
    ),
    'Excel, Unicode text': (
        'image\tbox\tdisc\r\n001.jpg\t1\t1\r\n002.jpg\t0\t0\r\n003.jpg\t0\t1\r\n'.encode('utf-16'),
        {},
    ),
    'LibreOffice, UTF-16 of the other byte order': (b'\xfe\xff' + FRAME.to_csv(index=False).encode('utf-16-be'), {}),
    'LibreOffice, all cells in quotes': (
        '"image","box","disc"\n"001.jpg","1","1"\n"002.jpg","0","0"\n"003.jpg","0","1"',
        {},
    ),
    'LibreOffice, old line ends': (FRAME.to_csv(index=False, lineterminator='\r'), {}),
    'a first column of a spreadsheet that numbers': (
        '#,image,box,disc\n1,001.jpg,1,1\n2,002.jpg,0,0\n3,003.jpg,0,1\n',
        dict(image_column='image', metainfo=dict(classes=CLASSES)),
    ),
    'Windows paths': ('image,box,disc\n.\\001.jpg,1,1\n..\\images\\002.jpg,0,0\n.\\003.jpg,0,1\n', {}),
    'trailing spaces': ('image , box , disc \n001.jpg , 1 , 1 \n002.jpg, 0,0\n003.jpg,0 ,1\xa0\n', {}),
    'Roboflow': ('filename, box, disc\n001.jpg, 1, 1\n002.jpg, 0, 0\n003.jpg, 0, 1\n', {}),
    'spaces before quotes': (
        'image, labels\n001.jpg, "box,disc"\n002.jpg, ""\n003.jpg, "disc"\n',
        dict(NAMED, separator=','),
    ),
    'pandas with its index': (FRAME.to_csv(), {}),
    'pandas with its index, and joined names': (JOINED.to_csv(), dict(NAMED, image_column='image')),
    'pandas with the index of a random split': (FRAME.set_axis([17, 3, 8]).to_csv(), {}),
    'pandas with an index of an index': (pd.read_csv(io.StringIO(FRAME.to_csv())).to_csv(), {}),
    'pandas with the images as an index without a name': (FRAME.set_index('image').rename_axis(None).to_csv(), {}),
    'pandas with an index of two levels': (
        FRAME.set_index([pd.Index(['a', 'a', 'b'], name='site'), pd.Index([0, 1, 0], name='visit')]).to_csv(),
        dict(image_column='image', metainfo=dict(classes=CLASSES)),
    ),
    'pandas, lists': (LISTS.to_csv(index=False), NAMED),
    'pandas, arrays of NumPy': ("image,labels\n001.jpg,['box' 'disc']\n002.jpg,[]\n003.jpg,['disc']\n", NAMED),
    'Label Studio, CSV of choices': (
        'annotation_id,annotator,choice,created_at,id,image,lead_time,updated_at\n'
        '7,1,"{""choices"":[""box"",""disc""]}",2024-05-02T10:00:00Z,1,001.jpg,4.2,2024-05-02T10:00:04Z\n'
        '8,1,,2024-05-02T10:01:00Z,2,002.jpg,1.9,2024-05-02T10:01:02Z\n'
        '9,1,disc,2024-05-02T10:02:00Z,3,003.jpg,2.0,2024-05-02T10:02:02Z\n',
        dict(NAMED, image_column='image', label_column='choice'),
    ),
}
READ_PARQUET = {
    'Parquet with the index of a random split': FRAME.set_axis([17, 3, 8]),
    'Parquet with the images as an index': FRAME.set_index('image'),
    'Parquet with the images as an index without a name': FRAME.set_index('image').rename_axis(None),
}
REFUSED = {
    'a column without a name': (
        'image,box,disc,,\n001.jpg,1,1,,\n002.jpg,0,0,,see mail\n',
        {},
        "column 5 has no name, but the cell 'see mail' in row 3",
    ),
    'a comma in a cell': (
        'image,box,disc\n001.jpg,1,1\n\n002.jpg,0,0,0\n',
        {},
        "column 4 has no name, but the cell '0' in row 4",
    ),
    'a title above the header': (
        'Crate survey,,\nimage,box,disc\n001.jpg,1,1\n',
        {},
        "column 2 has no name, but the cell 'box' in row 2",
    ),
    'pandas with an index of two levels without names': (
        FRAME.set_axis(pd.MultiIndex.from_tuples([('a', 0), ('a', 1), ('b', 0)])).to_csv(),
        {},
        "column 2 has no name, but the cell '0' in row 2",
    ),
    'pandas with two levels of columns': (
        FRAME.set_axis(pd.MultiIndex.from_tuples([('image', ''), ('label', 'box'), ('label', 'disc')]), axis=1).to_csv(
            index=False
        ),
        {},
        r"it has \['label'\] twice",
    ),
    'an open quote': ('image,box,disc\n"001.jpg,1,1\n002.jpg,0,0\n', {}, 'cannot be read: unexpected end of data'),
    'only separators': (',,\n,,\n', {}, 'no column has a name'),
    'Excel in German, WAHR': (
        'image;box;disc\n001.jpg;WAHR;1\n',
        {},
        "column 'box'.*'WAHR' for image '001.jpg'.*Add a mark",
    ),
    'Excel, crosses': (
        'image,box,disc\n001.jpg,x,\n',
        {},
        "'x' for image '001.jpg'. Add a mark such as x",
    ),
    'decimal commas between 0 and 1': ('image;box;disc\n001.jpg;0,5;1\n', {}, "'0,5'.*Soft labels"),
    'thousands': ('image,box,disc\n001.jpg,"1,000",1\n', {}, "'1,000' for image '001.jpg'"),
    'a row of sums': (FRAME.to_csv(index=False) + 'Total,1,2\n', {}, "'2' for image 'Total'"),
    'Excel, not UTF-8': ('image,box,disc\n001.jpg,1,1\nmüll.jpg,0,0\n'.encode('cp1252'), {}, r'in Excel: "CSV UTF-8"'),
    'a workbook with the wrong ending': (
        b'PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xa4\xf0',
        {},
        r'in Excel: "CSV UTF-8"',
    ),
    'Label Studio, a broken cell': (
        'image,labels\n001.jpg,"{""choices"":[""box"""\n',
        NAMED,
        "Column 'labels'.*list of names",
    ),
    'a YAML list': ('image,labels\n001.jpg,"[box, disc]"\n', NAMED, r"Column 'labels'.*list of names.*\[box, disc\]"),
    'one row per label': (
        'image,labels\n001.jpg,box\n001.jpg,disc\n',
        NAMED,
        "'001.jpg' is in 2 rows.*Join the labels",
    ),
    'a mark with two meanings': (FRAME.to_csv(), dict(unknown_values=['0.0']), "'0.0' is in two"),
}
ENDINGS = {
    'Label Studio, JSON': 'project-1.json',
    'CVAT for images': 'annotations.xml',
    'CVAT, ImageNet': 'synsets.txt',
    'a YAML file': 'labels.yaml',
    'a workbook': 'labels.xlsx',
}  # fmt: skip
MISSING = {
    'Windows, full paths': 'image,box\nC:\\data\\images\\001.jpg,1\n',
    'Label Studio, uploads': 'image,box\n/data/upload/1/6f9a-001.jpg,1\n',
}


def labels(dataset):
    assert tuple(dataset.metainfo['classes']) == CLASSES
    return [dataset.get_data_info(index)['gt_label'] for index in range(len(dataset))]


@pytest.mark.parametrize('content, settings', READ.values(), ids=READ)
def test_is_read(table, content, settings):
    dataset = table(content, **settings)
    assert labels(dataset) == LABELS
    assert [dataset.get_data_info(index)['img_path'][-7:] for index in range(3)] == list(NAMES)


@pytest.mark.parametrize('frame', READ_PARQUET.values(), ids=READ_PARQUET)
def test_parquet_is_read(table, frame):
    assert labels(table(as_parquet(frame), name='table.parquet')) == LABELS


@pytest.mark.parametrize('content, settings, message', REFUSED.values(), ids=REFUSED)
def test_is_refused(table, tmp_path, content, settings, message):
    with pytest.raises(ValueError, match=message) as refused:
        table(content, **settings)
    assert str(tmp_path) in str(refused.value) or 'arguments' in str(refused.value)


@pytest.mark.parametrize('name', ENDINGS.values(), ids=ENDINGS)
def test_other_files_are_refused_with_the_way(table, name):
    with pytest.raises(ValueError, match=f'{re.escape(name)} to be a .csv.*Save or export.*CocoMultiLabel'):
        table(b'', name=name)


@pytest.mark.parametrize('content', MISSING.values(), ids=MISSING)
def test_paths_of_another_machine(table, content):
    with pytest.raises(FileNotFoundError, match='names in the annotations are relative'):
        table(content)


def test_addresses_of_an_unknown_storage(table):
    with pytest.raises(ValueError, match='got .*://bucket/001.jpg.*Download the images'):
        table('image,box\ngs://bucket/001.jpg,1\n')


def test_web_addresses_are_loaded(table, tmp_path, monkeypatch):
    """By MMEngine's backend, from a server of this machine."""

    monkeypatch.setenv('no_proxy', '*')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}/images'
        pipeline = [dict(type='LoadCheckedImage'), dict(type='PackInputs')]
        dataset = table(
            f'image,box,disc\n{address}/001.jpg,1,1\n{address}/004.jpg,0,0\n', pipeline=pipeline, test_mode=True
        )
        assert dataset[0]['inputs'].shape == (3, 8, 12)
        with pytest.raises(UnreadableImageError, match='/images/004.jpg'):
            dataset[1]
        server.shutdown()


def test_tags_of_cvat_become_a_table(table, tmp_path, monkeypatch):
    """docs/data.md, on a file in CVAT's format."""
    (program,) = (block for block in blocks(ROOT / 'docs/data.md', 'python') if 'annotations.xml' in block)
    (tmp_path / 'annotations.xml').write_text("""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels><label><name>box</name></label></labels></task></meta>
  <image id="0" name="001.jpg" width="12" height="8"><tag label="box" source="manual"></tag><tag label="disc"/></image>
  <image id="1" name="002.jpg" width="12" height="8"></image>
  <image id="2" name="003.jpg" width="12" height="8"><box label="x" xtl="1"/><tag label="disc"></tag></image>
</annotations>""")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert labels(table((tmp_path / 'train.csv').read_bytes(), **NAMED)) == LABELS
