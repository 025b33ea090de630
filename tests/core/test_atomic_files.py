"""Files that appear once they are whole, or not at all."""

import resource

import pytest

from core.atomic_files import append_jsonl, atomic_write, filter_jsonl, read_jsonl
from core.errors import CannotWrite, DiskFull, TruncatedRaster


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("failure", [ValueError("mine"), KeyboardInterrupt(), TruncatedRaster(name="other.tif")])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_write(path) as part:
            part.write_text("half")
            raise failure

    with pytest.raises(type(failure)) as raised:
        fail()
    assert raised.value is failure
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_nobody_sees_the_file_before_it_is_whole(tmp_path):
    with atomic_write(tmp_path / "deep" / "a.txt") as part:
        part.write_text("new")
        assert not (tmp_path / "deep" / "a.txt").exists()
        assert part.parent == tmp_path / "deep"
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"
    assert names(tmp_path / "deep") == ["a.txt"]


def test_lines_are_added_and_read(tmp_path):
    file = tmp_path / "deep" / "a.jsonl"
    for n in range(3):
        append_jsonl(file, {"n": n, "none": float("nan")})
    assert read_jsonl(file) == [{"n": n, "none": None} for n in range(3)]
    assert read_jsonl(tmp_path / "no.jsonl") == []


def test_a_line_that_is_not_whole_is_not_read_and_goes_when_lines_are_dropped(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"n":0}\n{"n":1}\n{"n":2}\n{"n"')
    assert len(read_jsonl(file)) == 3
    filter_jsonl(file, lambda row: row["n"] < 2)
    append_jsonl(file, {"n": 9})
    assert [row["n"] for row in read_jsonl(file)] == [0, 1, 9]


def test_a_line_for_which_there_is_half_the_room_is_not_begun_and_told(tmp_path):
    file = tmp_path / "a.jsonl"
    append_jsonl(file, {"n": 0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))  # the system writes up to there, and says how much it did
    try:
        with pytest.raises(DiskFull):
            append_jsonl(file, {"n": 1, "more": "than there is room for"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == b'{"n":0}\n'
    append_jsonl(file, {"n": 2})
    assert read_jsonl(file) == [{"n": 0}, {"n": 2}]


def test_a_file_written_in_place_says_what_went_wrong(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"a\.jsonl cannot be written"):
        append_jsonl(tmp_path / "file" / "a.jsonl", {})
