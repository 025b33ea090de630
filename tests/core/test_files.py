"""Files that appear once they are whole, or not at all."""

import pytest

from core.errors import TruncatedRaster
from core.files import replacing


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("failure", [ValueError("mine"), KeyboardInterrupt(), TruncatedRaster(name="other.tif")])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as part:
            part.write_text("half")
            raise failure

    with pytest.raises(type(failure)) as raised:
        fail()
    assert raised.value is failure
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_nobody_sees_the_file_before_it_is_whole(tmp_path):
    with replacing(tmp_path / "deep" / "a.txt") as part:
        part.write_text("new")
        assert not (tmp_path / "deep" / "a.txt").exists()
        assert part.parent == tmp_path / "deep"
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"
    assert names(tmp_path / "deep") == ["a.txt"]
