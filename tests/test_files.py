import pytest

from kmcl_mm.files import written_whole


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with written_whole(path) as unfinished:
        unfinished.write_text('new')
        assert path.read_text() == 'old' and unfinished.suffix == '.csv'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_where_writing_fails_the_old_one_stays(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with pytest.raises(OSError, match='No space'), written_whole(path) as unfinished:
        unfinished.write_text('ne')
        raise OSError('No space left on device')
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]
