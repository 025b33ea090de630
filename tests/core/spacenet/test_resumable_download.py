"""One object to one file: resumed, checked, and never half a file under a real name."""

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from core.errors import BucketUnreachable, CannotWrite, DamagedDownload, DiskFull, ObjectChanged
from core.spacenet import resumable_download
from core.spacenet.bucket import Bucket, Object
from core.spacenet.resumable_download import Record, download_object, read_manifest, write_manifest
from tests.core.spacenet_bucket import FakeBucket

CONTENT = bytes(range(256)) * 4000  # a megabyte, four pieces


@pytest.fixture
def wanted(bucket: FakeBucket) -> Object:
    """A file in the bucket."""
    bucket.put("a/b.tif", CONTENT)
    [found] = Bucket.spacenet().objects("a").values()
    return found


class Counting(Bucket):
    """Counts what it sends."""

    asked: list[int]

    def read(self, wanted: Object, offset: int = 0) -> Iterator[bytes]:
        self.__dict__.setdefault("asked", []).append(wanted.size - offset)
        return super().read(wanted, offset)


@pytest.fixture
def counting(bucket: FakeBucket) -> Counting:
    found = Counting(Bucket.spacenet().store)
    found.__dict__["asked"] = []
    return found


def part_of(file: Path, wanted: Object) -> Path:
    return file.with_name(f".{file.name}.{wanted.etag}.part")


def silent(_size: int) -> None:
    """Nobody listens."""


def test_a_file_comes_whole_with_its_record(wanted: Object, tmp_path: Path) -> None:
    told: list[int] = []
    file = tmp_path / "new" / "b.tif"
    record = download_object(Bucket.spacenet(), wanted, file, None, told.append)
    assert file.read_bytes() == CONTENT
    assert record == Record(len(CONTENT), wanted.etag, hashlib.sha256(CONTENT).hexdigest())
    assert sum(told) == len(CONTENT)
    assert [path.name for path in file.parent.iterdir()] == ["b.tif"]


def test_only_the_rest_is_asked_for_after_a_cut(wanted: Object, counting: Counting, tmp_path: Path) -> None:
    file, half = tmp_path / "b.tif", len(CONTENT) // 2
    part_of(file, wanted).write_bytes(CONTENT[:half])
    told: list[int] = []
    download_object(counting, wanted, file, None, told.append)
    assert counting.asked == [len(CONTENT) - half]
    assert file.read_bytes() == CONTENT
    assert (told[0], sum(told)) == (half, len(CONTENT))


def test_a_part_that_lacks_nothing_is_not_asked_for(wanted: Object, counting: Counting, tmp_path: Path) -> None:
    file = tmp_path / "b.tif"
    part_of(file, wanted).write_bytes(CONTENT)
    download_object(counting, wanted, file, None, silent)
    assert (counting.asked, file.read_bytes()) == ([], CONTENT)


def test_a_part_of_what_has_changed_since_is_thrown_away(
    wanted: Object, bucket: FakeBucket, counting: Counting, tmp_path: Path
) -> None:
    file = tmp_path / "b.tif"
    part_of(file, wanted).write_bytes(CONTENT[:1000])
    bucket.put("a/b.tif", CONTENT[::-1])
    [now] = counting.objects("a").values()
    download_object(counting, now, file, None, silent)
    assert counting.asked == [len(CONTENT)]
    assert file.read_bytes() == CONTENT[::-1]
    assert [path.name for path in tmp_path.iterdir()] == ["b.tif"]


def test_a_change_while_it_comes_leaves_no_file(wanted: Object, bucket: FakeBucket, tmp_path: Path) -> None:
    part_of(tmp_path / "b.tif", wanted).write_bytes(CONTENT[:1000])
    bucket.put("a/b.tif", CONTENT[::-1])
    with pytest.raises(ObjectChanged):
        download_object(Bucket.spacenet(), wanted, tmp_path / "b.tif", None, silent)
    assert not (tmp_path / "b.tif").exists()


def test_a_damaged_part_is_replaced_from_its_first_byte(wanted: Object, counting: Counting, tmp_path: Path) -> None:
    file = tmp_path / "b.tif"
    part_of(file, wanted).write_bytes(b"\0" * 1000)
    told: list[int] = []
    download_object(counting, wanted, file, None, told.append)
    assert counting.asked == [len(CONTENT) - 1000, len(CONTENT)]
    assert file.read_bytes() == CONTENT
    assert sum(told) == len(CONTENT)


class Damaging(Bucket):
    """Turns the last byte of each piece."""

    def read(self, wanted: Object, offset: int = 0) -> Iterator[bytes]:
        for chunk in super().read(wanted, offset):
            yield chunk[:-1] + bytes([chunk[-1] ^ 1])


class Endless(Bucket):
    """Sends more than it said."""

    def read(self, *_asked: object) -> Iterator[bytes]:
        while True:
            yield CONTENT


@pytest.mark.parametrize("kind", [Damaging, Endless])
def test_what_has_the_wrong_checksum_never_becomes_a_file(wanted: Object, tmp_path: Path, kind: type[Bucket]) -> None:
    with pytest.raises(DamagedDownload, match=r"checksum of b\.tif failed twice"):
        download_object(kind(Bucket.spacenet().store), wanted, tmp_path / "b.tif", None, silent)
    assert list(tmp_path.iterdir()) == []


class Breaking(Bucket):
    """Breaks off after each piece; after none where it is `dead`."""

    dead = False

    def read(self, wanted: Object, offset: int = 0) -> Iterator[bytes]:
        if not self.dead:
            yield next(super().read(wanted, offset))
        raise BucketUnreachable(detail="no connection")


class Dead(Breaking):
    dead = True


def test_a_connection_that_breaks_is_made_anew_while_something_comes(wanted: Object, tmp_path: Path) -> None:
    download_object(Breaking(Bucket.spacenet().store), wanted, tmp_path / "b.tif", None, silent)
    assert (tmp_path / "b.tif").read_bytes() == CONTENT


def test_without_a_connection_the_part_stays(wanted: Object, tmp_path: Path) -> None:
    part_of(tmp_path / "b.tif", wanted).write_bytes(CONTENT[:1000])
    with pytest.raises(BucketUnreachable):
        download_object(Dead(Bucket.spacenet().store), wanted, tmp_path / "b.tif", None, silent)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [CONTENT[:1000]]


def test_a_whole_file_is_not_asked_for(wanted: Object, counting: Counting, tmp_path: Path) -> None:
    file = tmp_path / "b.tif"
    record = download_object(counting, wanted, file, None, silent)
    for known in (record, None):
        assert download_object(counting, wanted, file, known, silent) == record
    assert counting.asked == [len(CONTENT)]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_file_that_rotted_is_brought_again(
    wanted: Object, counting: Counting, tmp_path: Path, recorded: bool
) -> None:
    file = tmp_path / "b.tif"
    record = download_object(counting, wanted, file, None, silent)
    file.write_bytes(b"\1" + CONTENT[1:])
    download_object(counting, wanted, file, record if recorded else None, silent)
    assert counting.asked == [len(CONTENT)] * 2
    assert file.read_bytes() == CONTENT


def test_without_a_checksum_the_record_decides(wanted: Object, counting: Counting, tmp_path: Path) -> None:
    """The ETag of an upload in parts is no MD5: by its size alone a file that is here is not believed."""
    in_parts = Object(wanted.key, wanted.size, wanted.etag + "-2")
    file = tmp_path / "b.tif"
    file.write_bytes(CONTENT)
    known = Record(wanted.size, in_parts.etag, hashlib.sha256(CONTENT).hexdigest())
    assert download_object(counting, in_parts, file, known, silent) == known
    assert counting.asked == []
    with pytest.raises(ObjectChanged):  # it was asked for, and the bucket knows no such ETag
        download_object(counting, in_parts, file, None, silent)


class Stop(Exception):
    """Somebody pressed the button."""


def test_a_stop_leaves_the_part_and_no_file(wanted: Object, counting: Counting, tmp_path: Path) -> None:
    pieces: list[int] = []

    def stop_after_a_piece(size: int) -> None:
        pieces.append(size)
        if sum(pieces) > size > 0:  # told before it is written
            raise Stop

    with pytest.raises(Stop):
        download_object(counting, wanted, tmp_path / "b.tif", None, stop_after_a_piece)
    [part] = tmp_path.iterdir()
    assert part == part_of(tmp_path / "b.tif", wanted)
    assert 0 < part.stat().st_size < len(CONTENT)
    download_object(counting, wanted, tmp_path / "b.tif", None, silent)
    assert counting.asked[1] < len(CONTENT)
    assert (tmp_path / "b.tif").read_bytes() == CONTENT


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EACCES, CannotWrite)])
def test_a_disk_that_is_full_or_closed_is_a_sentence(
    wanted: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def fail(_handle: int) -> None:
        raise OSError(number, "a reason")

    monkeypatch.setattr(resumable_download.os, "fsync", fail)
    with pytest.raises(error, match=r"b\.tif"):
        download_object(Bucket.spacenet(), wanted, tmp_path / "b.tif", None, silent)
    assert not (tmp_path / "b.tif").exists()


def test_the_manifest_says_who_made_the_files_and_what_they_were(tmp_path: Path) -> None:
    records = {"a/b.tif": Record(3, "etag", "sha")}
    write_manifest(tmp_path / "manifest.json", records)
    facts = orjson.loads((tmp_path / "manifest.json").read_bytes())
    assert facts["attribution"] == "SpaceNet on AWS, Maxar, CosmiQ Works, CC BY-SA 4.0"
    assert read_manifest(tmp_path / "manifest.json") == records


@pytest.mark.parametrize("text", [None, "", "[]", '{"files": 3}', '{"files": {"a": {"size": 3}}}'])
def test_without_a_readable_manifest_nothing_is_known(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path / "manifest.json") == {}
