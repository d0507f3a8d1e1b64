from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from proxy.core.archive_members import MAX_MEMBERS, Allowance
from proxy.core.archive_zip import looks_like_zip, walk_zip
from proxy.core.errors import BadArchive
from tests.core.archives import ZipMember, crafted_zip, zip_of

if TYPE_CHECKING:
    from pathlib import Path

DATA = {"a.txt": b"alpha " * 40, "b/": b"", "b/c.bin": bytes(range(256))}


class Pipe(io.RawIOBase):
    """A stream that cannot be sought, which makes writers leave sizes to the data descriptor."""

    def __init__(self) -> None:
        self.written = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self.written.write(data)


def contents(data: bytes) -> dict[str, bytes]:
    members = walk_zip(io.BytesIO(data), Allowance(len(data)))
    return {member.path: b"".join(member.content) for member in members}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read_in_order_with_their_bytes(method: int) -> None:
    members = [
        (member.path, member.is_file, b"".join(member.content))
        for member in walk_zip(io.BytesIO(zip_of(DATA, method)), Allowance(0))
    ]

    assert members == [("a.txt", True, DATA["a.txt"]), ("b", False, b""), ("b/c.bin", True, DATA["b/c.bin"])]


def test_an_empty_zip_has_no_members() -> None:
    assert contents(zip_of({})) == {}


def test_a_comment_may_follow_the_directory() -> None:
    assert contents(crafted_zip(ZipMember(b"a", b"1"), comment=b"made by hand")) == {"a": b"1"}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_sizes_may_follow_the_content(method: int, *, wide: bool) -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", method) as archive, archive.open("a.txt", "w", force_zip64=wide) as member:
        member.write(DATA["a.txt"])

    assert contents(pipe.written.getvalue()) == {"a.txt": DATA["a.txt"]}


@pytest.mark.parametrize("signature", [b"", b"PK\7\x08"])
@pytest.mark.parametrize("form", ["<3L", "<L2Q"])
def test_a_descriptor_has_one_of_four_forms(signature: bytes, form: str) -> None:
    descriptor = signature + struct.pack(form, zlib.crc32(b"12"), 2, 2)
    unknown = {"flags": 8, "crc": 0, "compressed": 0, "size": 0}
    member = ZipMember(b"a", b"12", local=unknown, central={"flags": 8}, after=descriptor)

    assert contents(crafted_zip(member, ZipMember(b"b", b"3"))) == {"a": b"12", "b": b"3"}


def test_zip64_sizes_are_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"wide")

    assert contents(buffer.getvalue()) == {"a.txt": b"wide"}


def test_more_members_than_the_end_record_can_count_are_read() -> None:
    members = {f"{number}": b"" for number in range(0x10000)}

    assert contents(zip_of(members, zipfile.ZIP_STORED)).keys() == members.keys()


@pytest.mark.slow
def test_a_member_over_4_gib_is_read(tmp_path: Path) -> None:
    path, size, crc = tmp_path / "large.zip", 2**32 + 5, 0
    for _ in range(2**32 // 2**24):
        crc = zlib.crc32(bytes(2**24), crc)
    crc = zlib.crc32(bytes(5), crc)
    wide: dict[str, int | bytes] = {
        "extra": struct.pack("<2H2Q", 1, 16, size, size),
        "crc": crc,
        "size": 2**32 - 1,
        "compressed": 2**32 - 1,
    }
    small = crafted_zip(ZipMember(b"a", local=wide, central=wide))
    start = small.index(b"PK\1\2")
    with path.open("wb") as file:
        file.write(small[:start])
        file.seek(size, io.SEEK_CUR)
        directory = file.tell()
        file.write(small[start:-22])
        end = file.tell()
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, end - directory, directory))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, end - directory, 2**32 - 1, 0))

    with path.open("rb") as file:
        assert [sum(map(len, member.content)) for member in walk_zip(file, Allowance(size))] == [size]


def test_members_may_be_listed_in_another_order() -> None:
    data = crafted_zip(ZipMember(b"a", b"1"), ZipMember(b"b", b"2"))
    first, second = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
    end = data.index(b"PK\5\6")

    assert contents(data[:first] + data[second:end] + data[first:second] + data[end:]) == {"a": b"1", "b": b"2"}


def test_what_the_caller_leaves_is_checked_all_the_same() -> None:
    data = crafted_zip(ZipMember(b"a", b"1", local={"crc": 7}, central={"crc": 7}))

    with pytest.raises(BadArchive, match="checksum"):
        list(walk_zip(io.BytesIO(data), Allowance(0)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_cut_anywhere_is_refused(method: int) -> None:
    data = zip_of({"a": b"some bytes", "b": b"and others"}, method)

    for length in range(len(data)):
        with pytest.raises(BadArchive):
            contents(data[:length])


REFUSED = {
    "data precedes the zip archive": {
        "prepended data": crafted_zip(ZipMember(b"a"), before=b"#!/bin/sh\n"),
    },
    "directory is not where it should be": {
        "data before an honest directory": b"#!/bin/sh\n" + crafted_zip(ZipMember(b"a")),
        "a zip in the comment": crafted_zip(ZipMember(b"a"), comment=crafted_zip(ZipMember(b"b"))),
        "a directory of another size": crafted_zip(ZipMember(b"a"), size=46),
        "a directory elsewhere": crafted_zip(ZipMember(b"a"), offset=0),
    },
    "data follows the zip archive": {
        "appended data": crafted_zip(ZipMember(b"a")) + b"more",
        "a comment shorter than it says": crafted_zip(ZipMember(b"a"), comment=b"short")[:-1],
    },
    "has data between its members": {
        "a member that is not listed": crafted_zip(ZipMember(b"a"), ZipMember(b"b", listed=False)),
        "data between members": crafted_zip(ZipMember(b"a", after=b"gap"), ZipMember(b"b")),
        "much data between members": crafted_zip(ZipMember(b"a", after=b"gap" * 99), ZipMember(b"b")),
        "data before the directory": crafted_zip(ZipMember(b"a", after=b"gap")),
        "a false descriptor": crafted_zip(
            ZipMember(b"a", b"1", local={"flags": 8}, central={"flags": 8}, after=struct.pack("<3L", 1, 1, 1))
        ),
        "no descriptor": crafted_zip(ZipMember(b"a", b"1", local={"flags": 8}, central={"flags": 8})),
        "a member behind the directory": crafted_zip(ZipMember(b"a"), ZipMember(b"b", central={"offset": 5000})),
    },
    "contradicts itself": {
        "two names": crafted_zip(ZipMember(b"a", local={"name": b"b"})),
        "two sizes": crafted_zip(ZipMember(b"a", b"12", local={"size": 1})),
        "two checksums": crafted_zip(ZipMember(b"a", b"12", local={"crc": 1})),
        "two methods": crafted_zip(ZipMember(b"a", b"12", local={"method": 8})),
        "two sets of flags": crafted_zip(ZipMember(b"a", b"12", local={"flags": 0x800})),
        "a descriptor according to one header": crafted_zip(ZipMember(b"a", b"12", local={"flags": 8})),
    },
    "has a member with ambiguous extra fields": {
        "a name in an extra field": crafted_zip(
            ZipMember(b"a", central={"extra": struct.pack("<2HBL", 0x7075, 5, 1, 0)})
        ),
        "two zip64 fields": crafted_zip(ZipMember(b"a", central={"extra": struct.pack("<2H2H", 1, 0, 1, 0)})),
        "an extra field that is too long": crafted_zip(ZipMember(b"a", central={"extra": struct.pack("<2H", 9, 1)})),
    },
    "ZIP64 records are corrupt": {
        "no zip64 size": crafted_zip(ZipMember(b"a", local={"size": 2**32 - 1}, central={"size": 2**32 - 1})),
    },
    "has members that overlap": {
        "members that overlap": crafted_zip(ZipMember(b"a", b"1" * 60), ZipMember(b"b", central={"offset": 40})),
        "one record of two members": crafted_zip(ZipMember(b"a", b"1"), ZipMember(b"a", b"1", central={"offset": 0})),
    },
    "directory points to no member": {
        "an offset to no header": crafted_zip(ZipMember(b"a"), ZipMember(b"b")).replace(b"PK\3\4", b"PK\0\0"),
    },
    "directory is corrupt": {
        "a directory that starts too early": crafted_zip(ZipMember(b"a"), offset=0, size=78),
        "more members than counted": crafted_zip(ZipMember(b"a"), ZipMember(b"b"), here=1, entries=1),
    },
    "the archive is truncated": {
        "fewer members than counted": crafted_zip(ZipMember(b"a"), here=2, entries=2),
    },
    "is in several parts": {
        "another disk": crafted_zip(ZipMember(b"a"), disk=1),
        "a directory on another disk": crafted_zip(ZipMember(b"a"), first_disk=1),
        "members on other disks": crafted_zip(ZipMember(b"a"), entries=2),
        "a member on another disk": crafted_zip(ZipMember(b"a", central={"disk": 1})),
    },
    "is a directory with content": {
        "a directory with content": crafted_zip(ZipMember(b"a/", b"hidden")),
    },
    "does not match its checksum or size": {
        "a wrong checksum": crafted_zip(ZipMember(b"a", b"12", local={"crc": 1}, central={"crc": 1})),
        "a wrong size": crafted_zip(ZipMember(b"a", b"12", local={"size": 1}, central={"size": 1})),
    },
    "is encrypted, or in the zip archive in a way that is not supported": {
        "encryption": crafted_zip(ZipMember(b"a", b"12", local={"flags": 1}, central={"flags": 1})),
        "a patch": crafted_zip(ZipMember(b"a", b"12", local={"flags": 0x20}, central={"flags": 0x20})),
        "a hidden header": crafted_zip(ZipMember(b"a", b"12", local={"flags": 0x2000}, central={"flags": 0x2000})),
        "a version to come": crafted_zip(ZipMember(b"a", central={"needed": 64})),
    },
    "has a name that is not UTF-8": {
        "a name that is not UTF-8": crafted_zip(ZipMember(b"\xff", local={"flags": 0x800}, central={"flags": 0x800})),
    },
    "a compressed stream is corrupt": {
        "deflated noise": crafted_zip(ZipMember(b"a", b"\xff\xff", local={"method": 8}, central={"method": 8})),
    },
    "the file is not a whole zip archive": {
        "no zip at all": b"PK",
        "nothing": b"",
    },
}
CASES = [pytest.param(data, reason, id=name) for reason, cases in REFUSED.items() for name, data in cases.items()]


@pytest.mark.parametrize(("data", "reason"), CASES)
def test_what_programs_could_read_in_two_ways_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadArchive, match=f"^Validation failed: .*{reason}"):
        contents(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_stored_and_deflated_members_are_read(method: int) -> None:
    with pytest.raises(BadArchive, match="neither stored nor deflated"):
        contents(zip_of({"a": b"1" * 100}, method))


def test_data_after_a_deflated_stream_is_refused() -> None:
    deflated = zlib.compress(b"12", wbits=-15) + b"hidden"
    sums = {"method": 8, "crc": zlib.crc32(b"12"), "size": 2}

    with pytest.raises(BadArchive, match="data follows"):
        contents(crafted_zip(ZipMember(b"a", deflated, local=sums, central=sums)))


def test_a_deflated_stream_that_does_not_end_is_refused() -> None:
    deflated = zlib.compress(b"12" * 50, wbits=-15)[:-3]
    sums = {"method": 8, "crc": 0, "size": 100}

    with pytest.raises(BadArchive, match="truncated"):
        contents(crafted_zip(ZipMember(b"a", deflated, local=sums, central=sums)))


def test_a_member_that_claims_to_be_empty_but_inflates_is_refused() -> None:
    deflated = zlib.compress(b"12", wbits=-15)
    sums = {"method": 8, "crc": 0, "size": 0}

    with pytest.raises(BadArchive, match="checksum or size"):
        contents(crafted_zip(ZipMember(b"a", deflated, local=sums, central=sums)))


@pytest.mark.parametrize(
    ("record", "locator"),
    [
        ({"entries": 2}, {}),
        ({"size": 1}, {}),
        ({"offset": 1}, {}),
        ({"disk": 1}, {}),
        ({"length": 45}, {}),
        ({}, {"at": 1}),
        ({}, {"disk": 1}),
        ({}, {"disks": 2}),
        ({"signature": 0}, {}),
    ],
)
def test_zip64_records_that_contradict_the_others_are_refused(record: dict[str, int], locator: dict[str, int]) -> None:
    assert contents(zip64({}, {})) == {"a": b"1"}

    with pytest.raises(BadArchive):
        contents(zip64(record, locator))


def zip64(record: dict[str, int], locator: dict[str, int]) -> bytes:
    """A zip whose end is told twice; the arguments replace fields of its ZIP64 records."""
    narrow = crafted_zip(ZipMember(b"a", b"1"))
    end, offset = len(narrow) - 22, narrow.index(b"PK\1\2")
    fields = {"signature": 0x06064B50, "length": 44, "made": 45, "needed": 45, "disk": 0, "first_disk": 0}
    fields |= {"here": 1, "entries": 1, "size": end - offset, "offset": offset} | record
    where = {"signature": 0x07064B50, "disk": 0, "at": end, "disks": 1} | locator
    wide = struct.pack("<LQ2H2L4Q", *fields.values()) + struct.pack("<2LQL", *where.values())
    return narrow[:end] + wide + narrow[end:]


def test_a_directory_that_counts_too_many_members_is_refused_unread() -> None:
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, MAX_MEMBERS + 1, MAX_MEMBERS + 1, 0, 0)
    end = record + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + crafted_zip(here=0xFFFF, entries=0xFFFF)

    with pytest.raises(BadArchive, match="too many members"):
        contents(end)


def test_an_end_record_is_found_where_programs_search_for_it() -> None:
    archive = crafted_zip(ZipMember(b"a"))

    assert looks_like_zip(io.BytesIO(b"\x1f\x8b" + archive + b"more"))
    assert not looks_like_zip(io.BytesIO(archive[:-22]))
    assert not looks_like_zip(io.BytesIO(archive + bytes(0x20000)))
