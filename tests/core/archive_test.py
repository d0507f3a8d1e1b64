from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import tracemalloc
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from proxy.core import archive_members
from proxy.core.archive import MAX_HEADER_LINES, MAX_METADATA, ArchiveMetadata, read_archive
from proxy.core.archive_members import FREE_INFLATION, MAX_ALL_PATHS, MAX_MEMBERS, MAX_PATH, Paths
from proxy.core.distributions import Kind
from proxy.core.errors import BadArchive, InvalidName
from proxy.core.names import Filename
from tests.builders import build_metadata, build_sdist, build_wheel
from tests.core.archives import COMPRESSORS, TarMember, ZipMember, crafted_zip, tar_of, zip_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

METADATA = build_metadata("Demo", "1.0", requires_python=">=3.9")
WHEEL_NAME = "demo-1.0-py3-none-any.whl"


def read(data: bytes, filename: str) -> ArchiveMetadata:
    kind = Kind.WHEEL if filename.endswith(".whl") else Kind.SDIST
    return read_archive(io.BytesIO(data), Filename(filename), kind)


def wheel_of(
    metadata: bytes = METADATA, directory: str = "demo-1.0.dist-info", extra: Mapping[str, bytes] | None = None
) -> bytes:
    members = {"METADATA": metadata, "WHEEL": b"", "RECORD": b""}
    return zip_of({f"{directory}/{name}": data for name, data in members.items()} | dict(extra or {}))


def sdist_of(metadata: bytes = METADATA, directory: str = "demo-1.0", *members: TarMember) -> bytes:
    return gzip.compress(tar_of([TarMember(f"{directory}/PKG-INFO", metadata), *members]), mtime=0)


def test_a_wheel_gives_its_metadata_byte_for_byte() -> None:
    built = build_wheel("Demo_Pkg", "1.0", requires_python=">=3.9", description="A läng\r\nstory\n\n")

    assert read(built.data, built.filename) == ArchiveMetadata(built.metadata, "Demo_Pkg", "1.0", ">=3.9")


def test_an_sdist_gives_its_metadata_byte_for_byte() -> None:
    built = build_sdist("Demo_Pkg", "1.0", requires_python=">=3.9", size_padding=300_000)

    assert read(built.data, built.filename) == ArchiveMetadata(built.metadata, "Demo_Pkg", "1.0", ">=3.9")


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSORS.items())
def test_older_sdists_are_read(suffix: str, compress: Callable[[bytes], bytes]) -> None:
    tar = tar_of([TarMember("demo-1.0/PKG-INFO", METADATA)])

    assert read(compress(tar), f"demo-1.0{suffix}").metadata == METADATA
    assert read(compress(tar), f"demo-1.0{suffix.upper()}").metadata == METADATA


def test_a_zipped_sdist_is_read() -> None:
    assert read(zip_of({"demo-1.0/PKG-INFO": METADATA}), "demo-1.0.zip").metadata == METADATA


def test_the_file_may_stand_anywhere_and_stays_open() -> None:
    file = io.BytesIO(wheel_of())
    file.seek(7)

    read_archive(file, Filename(WHEEL_NAME), Kind.WHEEL)

    assert not file.closed


@pytest.mark.parametrize("suffix", [".tar", ".tar.Z"])
def test_other_formats_are_refused(suffix: str) -> None:
    with pytest.raises(BadArchive, match="must be one of"):
        read(tar_of([TarMember("demo-1.0/PKG-INFO", METADATA)]), f"demo-1.0{suffix}")


def test_a_name_that_is_no_distribution_is_refused() -> None:
    with pytest.raises(InvalidName):
        read(wheel_of(), "demo.whl")


@pytest.mark.parametrize(
    ("filename", "directory"),
    [
        ("demo-1.0-py3-none-any.whl", "Demo-1.0"),
        ("my_pkg-1.0-py3-none-any.whl", "my.pkg-1.0"),
        ("demo-1.0-py3-none-any.whl", "demo-1.0.0"),
        ("demo-1.0+cu121-1-py3-none-any.whl", "demo-1.0+cu121"),
        ("demo-1!2.0-py3-none-any.whl", "demo-1!2.0"),
    ],
)
def test_a_wheels_directory_may_be_spelled_otherwise(filename: str, directory: str) -> None:
    assert read(wheel_of(directory=f"{directory}.dist-info"), filename).metadata == METADATA


@pytest.mark.parametrize(
    ("filename", "directory"),
    [
        ("my-pkg-1.0.tar.gz", "my_pkg-1.0"),
        ("mercurial-3.3-rc.tar.gz", "mercurial-3.3-rc"),
        ("zope.interface-8.4.1a1.tar.gz", "zope_interface-8.4.1a1"),
        ("demo-1.0-1.tar.gz", "demo-1.0-1"),
    ],
)
def test_an_sdists_directory_may_be_spelled_otherwise(filename: str, directory: str) -> None:
    assert read(sdist_of(METADATA, directory), filename).metadata == METADATA


@pytest.mark.parametrize(
    "data",
    [
        wheel_of(directory="other-1.0.dist-info"),
        wheel_of(directory="demo-1.1.dist-info"),
        wheel_of(directory="demo.dist-info"),
        wheel_of(directory=f"demo-{'1' * 5000}.dist-info"),
        wheel_of(extra={"other-1.0.dist-info/METADATA": b""}),
        wheel_of(extra={"other-1.0.dist-info/entry_points.txt": b""}),
        zip_of({"demo-1.0.dist-info/METADATA": METADATA, "demo-1.0.dist-info/WHEEL": b""}),
        zip_of({"demo-1.0.dist-info/METADATA": METADATA, "demo-1.0.dist-info/RECORD": b""}),
        zip_of({"demo-1.0.dist-info/WHEEL": b"", "demo-1.0.dist-info/RECORD": b""}),
        zip_of(
            {"demo-1.0.dist-info/METADATA/": b"", "demo-1.0.dist-info/WHEEL": b"", "demo-1.0.dist-info/RECORD": b""}
        ),
        zip_of({"lib/demo-1.0.dist-info/METADATA": METADATA}),
        zip_of({"METADATA": METADATA}),
        zip_of({}),
    ],
)
def test_a_wheel_describes_itself_in_one_directory_of_its_name(data: bytes) -> None:
    with pytest.raises(BadArchive):
        read(data, WHEEL_NAME)


@pytest.mark.parametrize(
    "data",
    [
        sdist_of(METADATA, "other-1.0"),
        sdist_of(METADATA, "demo-1.1"),
        sdist_of(METADATA, "demo"),
        sdist_of(METADATA, "demo-1.0/sub"),
        sdist_of(METADATA, "demo-1.0", TarMember("README")),
        sdist_of(METADATA, "demo-1.0", TarMember("demo-1.1/PKG-INFO", METADATA)),
        sdist_of(METADATA, "demo-1.0", TarMember("l", type=tarfile.SYMTYPE, link="demo-1.0")),
        gzip.compress(tar_of([TarMember("PKG-INFO", METADATA)]), mtime=0),
        gzip.compress(tar_of([TarMember("demo-1.0/setup.py")]), mtime=0),
        gzip.compress(tar_of([TarMember("demo-1.0/PKG-INFO", type=tarfile.SYMTYPE, link="METADATA")]), mtime=0),
        gzip.compress(tar_of([]), mtime=0),
    ],
)
def test_an_sdist_describes_itself_in_its_one_top_directory(data: bytes) -> None:
    with pytest.raises(BadArchive):
        read(data, "demo-1.0.tar.gz")


UNSAFE_NAMES = [
    "/etc/passwd",
    "../up",
    "demo/../../up",
    "demo/./here",
    "demo//here",
    "demo\\up",
    "..\\up",
    "C:/windows",
    "c:up",
    "bell\x07",
    "line\nbreak",
    "delete\x7f",
    "x" * (MAX_PATH + 1),
]


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_members_with_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(BadArchive, match="unsafe name") as of_wheel:
        read(wheel_of(extra={name: b""}), WHEEL_NAME)
    with pytest.raises(BadArchive, match="unsafe name"):
        read(sdist_of(METADATA, "demo-1.0", TarMember(name)), "demo-1.0.tar.gz")

    message = of_wheel.value.message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 500


def test_a_name_with_nul_is_refused() -> None:
    with pytest.raises(BadArchive, match="unsafe name"):
        read(crafted_zip(ZipMember(b"demo.py\0.txt")), WHEEL_NAME)


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(BadArchive, match="two members"):
        read(crafted_zip(ZipMember(b"a", b"1"), ZipMember(b"a", b"2")), WHEEL_NAME)
    with pytest.raises(BadArchive, match="two members"):
        read(crafted_zip(ZipMember(b"a"), ZipMember(b"a/")), WHEEL_NAME)
    with pytest.raises(BadArchive, match="two members"):
        read(sdist_of(METADATA, "demo-1.0", TarMember("./demo-1.0/PKG-INFO", b"")), "demo-1.0.tar.gz")


def test_an_archive_has_so_many_members_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_MEMBERS == 200_000
    monkeypatch.setattr(archive_members, "MAX_MEMBERS", 4)

    assert read(wheel_of(extra={"a": b""}), WHEEL_NAME).metadata == METADATA
    with pytest.raises(BadArchive, match="too many members"):
        read(wheel_of(extra={"a": b"", "b/": b""}), WHEEL_NAME)


def test_names_take_so_much_memory_and_no_more() -> None:
    paths = Paths()
    for number in range(MAX_ALL_PATHS // MAX_PATH):
        paths.add(f"{number:0{MAX_PATH}}", is_file=True)

    with pytest.raises(BadArchive, match="too many members"):
        paths.add("a", is_file=False)


def test_a_zip_that_is_also_a_tar_is_refused() -> None:
    def named(checksum: bytes) -> bytes:
        return crafted_zip(ZipMember(b"0" * 118 + checksum + b"0" * 400, METADATA))

    data = named(b"%06o\0 " % sum(named(b" " * 8)[:512]))
    assert tarfile.TarInfo.frombuf(data[:512], "utf-8", "surrogateescape").isreg()

    with pytest.raises(BadArchive, match="tar archive as well"):
        read(data, WHEEL_NAME)


def test_a_tar_that_is_also_a_zip_is_refused() -> None:
    hidden = wheel_of()
    gzipped = bytearray(sdist_of())
    gzipped[3] |= 4  # the flag of an extra field
    data = bytes(gzipped[:10]) + len(hidden).to_bytes(2, "little") + hidden + bytes(gzipped[10:])
    assert gzip.decompress(data)
    assert zipfile.is_zipfile(io.BytesIO(data))

    with pytest.raises(BadArchive, match="zip archive as well"):
        read(data, "demo-1.0.tar.gz")


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSORS.items())
def test_a_compressed_stream_is_one_and_whole(suffix: str, compress: Callable[[bytes], bytes]) -> None:
    name, data = f"demo-1.0{suffix}", compress(tar_of([TarMember("demo-1.0/PKG-INFO", METADATA)]))

    for bad in (data[:-1], data[:-9], data[:20], b"", data + b"more", data + bytes(70_000), data + data):
        with pytest.raises(BadArchive):
            read(bad, name)
    for at in range(0, len(data), 7):
        changed = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        try:
            assert read(changed, name).metadata == METADATA  # of the stream's own header, not all is checked
        except BadArchive:
            continue


def test_a_wrong_checksum_behind_the_metadata_is_found() -> None:
    data = bytearray(sdist_of())
    data[-8] ^= 1

    with pytest.raises(BadArchive, match="corrupt"):
        read(bytes(data), "demo-1.0.tar.gz")


def test_xz_may_not_ask_for_much_memory() -> None:
    data = bytearray(lzma.compress(tar_of([TarMember("demo-1.0/PKG-INFO", METADATA)])))
    block = slice(12, 12 + 4 * data[12])  # the block's header (.xz file format 3.1), without its checksum
    data[block.start + 4] = 36  # a dictionary of 1 GiB
    data[block.stop : block.stop + 4] = zlib.crc32(data[block]).to_bytes(4, "little")
    assert lzma.decompress(data)

    with pytest.raises(BadArchive, match="corrupt"):
        read(bytes(data), "demo-1.0.tar.xz")


def bombs() -> dict[str, bytes]:
    zeros = bytes(FREE_INFLATION)
    tar = tar_of([TarMember("demo-1.0/PKG-INFO", METADATA), TarMember("demo-1.0/zeros", zeros)])
    return {
        WHEEL_NAME: wheel_of(extra={"zeros": zeros}),
        "demo-1.0.zip": zip_of({"demo-1.0/PKG-INFO": METADATA, "demo-1.0/zeros": zeros}),
        "demo-1.0.tar.gz": gzip.compress(tar, 9),
        "demo-1.0.tar.bz2": bz2.compress(tar),
    }


def test_what_inflates_far_beyond_its_size_is_refused_in_little_memory() -> None:
    for filename, data in bombs().items():
        tracemalloc.start()
        try:
            with pytest.raises(BadArchive, match="inflates"):
                read(data, filename)
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()


def test_what_inflates_to_a_hundred_times_its_size_is_accepted() -> None:
    noise = hashlib.shake_128(b"noise").digest(FREE_INFLATION // 100 + 2000)
    members = [TarMember("demo-1.0/PKG-INFO", METADATA), TarMember("demo-1.0/noise", noise)]
    tar = tar_of([*members, TarMember("demo-1.0/zeros", bytes(FREE_INFLATION - 10_000))])

    assert len(tar) > FREE_INFLATION
    assert read(gzip.compress(tar), "demo-1.0.tar.gz").metadata == METADATA


def test_metadata_has_so_many_bytes_and_no_more() -> None:
    largest = METADATA.ljust(MAX_METADATA, b".")

    assert read(wheel_of(largest), WHEEL_NAME).metadata == largest
    with pytest.raises(BadArchive, match="16 MiB"):
        read(wheel_of(largest + b"."), WHEEL_NAME)
    with pytest.raises(BadArchive, match="16 MiB"):
        read(sdist_of(largest + b"."), "demo-1.0.tar.gz")


def parse(metadata: bytes) -> ArchiveMetadata:
    return read(wheel_of(metadata), WHEEL_NAME)


@pytest.mark.parametrize(
    "metadata",
    [
        b"Metadata-Version: 1.0\nName: demo\nVersion: 1.0\nRequires-Python: >=3.9\n",
        b"Metadata-Version: 9.1\nName: demo\nVersion: 1.0\nUnheard-Of: yes\nRequires-Python: >=3.9\n\nText\n",
        b"name: demo\nVERSION: 1.0\nrequires-python: >=3.9",
        b"Name: demo\r\nVersion: 1.0\r\nRequires-Python: >=3.9\r\n\r\nName: other\r\n",
        b"Name: demo\rVersion: 1.0\rRequires-Python: >=3.9\r\rName: other\r",
        b"Name:  demo \nVersion:\t1.0\nRequires-Python:\n >=3.9\n",
        b"Author: \xff\nName: demo\nVersion: 1.0\nRequires-Python: >=3.9\n",
        b"Name: demo\nVersion: 1.0\nRequires-Python: >=3.9\nDescription: Name: other\n        Name: other\n",
    ],
)
def test_metadata_of_any_version_is_read(metadata: bytes) -> None:
    assert parse(metadata) == ArchiveMetadata(metadata, "demo", "1.0", ">=3.9")


@pytest.mark.parametrize("value", ["", " ", "UNKNOWN"])
def test_requires_python_may_be_empty(value: str) -> None:
    assert parse(f"Name: demo\nVersion: 1.0\nRequires-Python: {value}\n".encode()).requires_python == ""


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"Version: 1.0\n",
        b"Name: demo\n",
        b"Name:\nVersion: 1.0\n",
        b"\nName: demo\nVersion: 1.0\n",
        b"\xff\xfe\x00",
        b"Name: UNKNOWN\nVersion: 1.0\n",
        b"Name: demo\nName: demo\nVersion: 1.0\n",
        b"Name: demo\nVersion: 1.0\nVersion: 1.1\n",
        b"Name: demo\nVersion: 1.0\nRequires-Python: >=3\nRequires-Python: >=2\n",
        b"Name: demo\nVersion: 1.0\n" + b"a:\n" * MAX_HEADER_LINES,
        b"Name: demo\rVersion: 1.0\r" + b"a:\r" * MAX_HEADER_LINES,
    ],
)
def test_metadata_states_each_field_once(metadata: bytes) -> None:
    with pytest.raises(BadArchive, match="core metadata"):
        parse(metadata)
