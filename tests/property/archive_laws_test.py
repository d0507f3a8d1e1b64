"""Laws of archives: any bytes give a value or InvalidUpload, and what is accepted has one reading."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.archive import read_archive
from proxy.core.archive_members import Allowance, check_path
from proxy.core.archive_tar import walk_tar
from proxy.core.archive_zip import walk_zip
from proxy.core.distributions import Kind
from proxy.core.errors import InvalidUpload
from proxy.core.names import Filename
from tests.builders import build_sdist, build_wheel
from tests.core.archives import COMPRESSORS, TarMember, ZipMember, crafted_zip, tar_of, zip_of

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEEL = build_wheel("demo", "1.0", extra_members={"demo/": b"", "demo/data.bin": b"stored " * 9})
SDIST = build_sdist("demo", "1.0")
METADATA = b"Name: demo\nVersion: 1.0\n"
TAR_MEMBERS = [
    TarMember("demo-1.0", type=tarfile.DIRTYPE),
    TarMember("demo-1.0/PKG-INFO", METADATA),
    TarMember("demo-1.0/" + "long" * 40 + "/é", b"abc"),
    TarMember("demo-1.0/link", type=tarfile.SYMTYPE, link="l" * 120),
    TarMember("demo-1.0/hard", type=tarfile.LNKTYPE, link="demo-1.0/PKG-INFO"),
]
TARS = [tar_of(TAR_MEMBERS, tarfile.PAX_FORMAT), tar_of(TAR_MEMBERS, tarfile.GNU_FORMAT)]
ZIPS = [
    WHEEL.data,
    zip_of({"demo-1.0/PKG-INFO": METADATA, "demo-1.0/é/": b""}, zipfile.ZIP_STORED),
    crafted_zip(ZipMember(b"a", b"1"), ZipMember(b"b/c", b"2"), comment=b"by hand"),
]
FILES = [
    (WHEEL.filename, WHEEL.data),
    (SDIST.filename, SDIST.data),
    ("demo-1.0.zip", ZIPS[1]),
    *((f"demo-1.0{suffix}", compress(TARS[0])) for suffix, compress in COMPRESSORS.items()),
]

signatures = st.sampled_from([b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\7", b"\xff" * 4, bytes(4), b"/", b"..", b"\0"])
edits = st.tuples(
    st.integers(0, 20_000), st.integers(0, 40), st.one_of(signatures, st.binary(max_size=8), st.just(b""))
)


def edited(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """`data` with each (place, length, replacement) made; a place beyond the end starts again at the front."""
    changed = bytearray(data)
    for place, length, replacement in changes:
        at = place % (len(changed) + 1)
        changed[at : at + (length % 3 and length)] = replacement
    return bytes(changed)


def summed(tar: bytes) -> bytes:
    """`tar` with the checksum of what looks like a header made right, so that edits reach further."""
    changed = bytearray(tar)
    for at in range(0, len(changed) - 511, 512):
        if changed[at + 257 : at + 262] == b"ustar":
            changed[at + 148 : at + 156] = b" " * 8
            changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


def read_or_refuse(filename: str, data: bytes) -> None:
    kind = Kind.WHEEL if filename.endswith(".whl") else Kind.SDIST
    try:
        metadata = read_archive(io.BytesIO(data), Filename(filename), kind)
    except InvalidUpload as error:
        message = error.message
        assert message.isascii()
        assert message.isprintable()
    else:
        assert metadata.name
        assert metadata.version


@given(st.sampled_from([filename for filename, _ in FILES]), st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(filename: str, data: bytes) -> None:
    read_or_refuse(filename, data)


@given(st.sampled_from(FILES), st.lists(edits, min_size=1, max_size=4))
def test_edited_archives_are_read_or_refused(file: tuple[str, bytes], changes: list[tuple[int, int, bytes]]) -> None:
    filename, data = file

    read_or_refuse(filename, edited(data, changes))


@given(st.sampled_from(TARS), st.lists(edits, min_size=1, max_size=4))
def test_edits_below_the_compression_are_read_or_refused(tar: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    read_or_refuse("demo-1.0.tar.gz", gzip.compress(summed(edited(tar, changes)), 1))


@given(st.binary(max_size=600))
def test_any_metadata_is_read_or_refused(metadata: bytes) -> None:
    members = {"METADATA": b"Name: demo\nVersion: 1.0\n" + metadata, "WHEEL": b"", "RECORD": b""}

    read_or_refuse(WHEEL.filename, zip_of({f"demo-1.0.dist-info/{name}": data for name, data in members.items()}))


@given(st.sampled_from(ZIPS), st.lists(edits, max_size=3))
def test_what_is_accepted_as_zip_is_the_same_to_python(data: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    changed = edited(data, changes)
    try:
        ours = contents_of_zip(changed)
    except InvalidUpload:
        return

    with zipfile.ZipFile(io.BytesIO(changed)) as archive:
        assert {info.filename.rstrip("/"): archive.read(info) for info in archive.infolist()} == ours


@given(st.sampled_from(TARS), st.lists(edits, max_size=3))
def test_what_is_accepted_as_tar_is_the_same_to_python(tar: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    changed = summed(edited(tar, changes))
    try:
        ours = contents_of_tar(changed)
    except InvalidUpload:
        return

    if ours:  # Python calls an empty one unreadable
        assert dict(python_reads_tar(changed)) == ours


def contents_of_zip(data: bytes) -> dict[str, bytes]:
    found = {}
    for member in walk_zip(io.BytesIO(data), Allowance(len(data))):
        check_path(member.path)
        found[member.path] = b"".join(member.content)
    return found


def contents_of_tar(tar: bytes) -> dict[str, bytes]:
    found = {}
    for member in walk_tar(iter([tar])):
        check_path(member.path)
        found[member.path] = b"".join(member.content)
    return found


def python_reads_tar(tar: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for info in archive:
            content = archive.extractfile(info) if info.isreg() else None
            yield info.name.removeprefix("./"), content.read() if content else b""
