"""METADATA out of a wheel, whole or in pieces."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest

from proxy.core.archive import MAX_METADATA
from proxy.core.errors import InvalidUpload
from proxy.core.names import Filename
from proxy.core.ranges import ByteRange
from proxy.core.wheel_metadata import MAX_DIRECTORY, TAIL, Missing, Windows, read_wheel_metadata
from tests.builders import BuiltFile, build_metadata, build_wheel
from tests.core.archives import Headers

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA = "demo-1.0.dist-info/METADATA"
NAME = Filename("demo-1.0-py3-none-any.whl")


def windows_of(data: bytes) -> Windows:
    """All of `data`, without a hole."""
    windows = Windows(len(data))
    windows.add(0, data)
    return windows


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, data in members.items():
            archive.writestr(path, data)
    return buffer.getvalue()


def read(data: bytes, filename: str = NAME) -> bytes:
    return read_wheel_metadata(windows_of(data), Filename(filename))


def read_in_pieces(built: BuiltFile) -> list[ByteRange]:
    """What has to be brought one after the other until the metadata can be read; it must be the right one."""
    size = len(built.data)
    windows, wanted = Windows(size), ByteRange(max(0, size - TAIL), size - 1)
    brought = [wanted]
    while True:
        windows.add(wanted.first, built.data[wanted.first : wanted.last + 1])
        try:
            assert read_wheel_metadata(windows, Filename(built.filename)) == built.metadata
        except Missing as missing:
            wanted = missing.wanted
            brought.append(wanted)
        else:
            return brought


class TestWindows:
    def test_it_reads_and_seeks_like_a_file(self) -> None:
        windows = windows_of(b"0123456789")
        assert (windows.readable(), windows.seekable()) == (True, True)
        assert windows.read(4) == b"0123"
        assert windows.tell() == 4
        assert windows.seek(-3, io.SEEK_END) == 7
        assert windows.read() == b"789"
        assert windows.seek(2) == 2
        assert windows.seek(3, io.SEEK_CUR) == 5
        assert windows.read(1) == b"5"

    def test_before_the_start_is_the_start_and_after_the_end_is_nothing(self) -> None:
        windows = windows_of(b"0123456789")
        assert windows.seek(-20, io.SEEK_END) == 0
        windows.seek(10)
        assert windows.read(1) == b""
        windows.seek(1000)
        assert windows.read(1) == b""

    def test_a_hole_asks_for_itself_and_not_beyond_the_end(self) -> None:
        windows = Windows(100)
        windows.add(90, b"x" * 10)
        windows.seek(80)
        with pytest.raises(Missing) as caught:
            windows.read(5)
        assert caught.value.wanted == ByteRange(80, 99)

    def test_a_hole_asks_for_a_grain_at_least(self) -> None:
        windows = Windows(1_000_000)
        with pytest.raises(Missing) as caught:
            windows.read(1)
        assert caught.value.wanted == ByteRange(0, 16 * 1024 - 1)

    def test_a_longer_read_asks_for_all_it_wants(self) -> None:
        windows = Windows(1_000_000)
        with pytest.raises(Missing) as caught:
            windows.read(500_000)
        assert caught.value.wanted == ByteRange(0, 499_999)

    def test_a_read_ends_at_a_hole_and_the_next_one_misses_it(self) -> None:
        windows = Windows(100)
        windows.add(0, b"x" * 10)
        assert windows.read(50) == b"x" * 10
        with pytest.raises(Missing):
            windows.read(1)

    def test_a_shorter_piece_does_not_hide_a_longer_one(self) -> None:
        windows = windows_of(b"0123456789")
        windows.add(0, b"01")
        windows.add(3, b"")
        assert windows.read(10) == b"0123456789"

    def test_it_knows_how_much_it_holds(self) -> None:
        windows = Windows(100)
        assert windows.held == 0
        windows.add(0, b"x" * 10)
        windows.add(50, b"x" * 7)
        assert windows.held == 17


class TestMetadata:
    def test_it_is_read_byte_for_byte(self) -> None:
        built = build_wheel("demo", "1.0", description="naïve 🐍\r\n\r\nmore\n")
        assert read(built.data) == built.metadata

    def test_the_file_can_be_read_again(self) -> None:
        built = build_wheel("demo", "1.0")
        windows = windows_of(built.data)
        assert read_wheel_metadata(windows, NAME) == read_wheel_metadata(windows, NAME) == built.metadata
        assert not windows.closed

    def test_of_a_small_wheel_the_tail_is_enough(self) -> None:
        assert len(read_in_pieces(build_wheel("demo", "1.0"))) == 1

    def test_metadata_in_the_middle_of_a_large_wheel_takes_one_piece_more(self) -> None:
        padding = {"demo/padding.bin": build_wheel("noise", "1", size_padding=500_000).data}
        brought = read_in_pieces(build_wheel("demo", "1.0", extra_members=padding, size_padding=500_000))
        assert len(brought) == 2
        assert sum(piece.length for piece in brought) < 60_000

    def test_a_directory_longer_than_the_tail_is_brought_whole(self) -> None:
        members = {f"demo/module_with_a_rather_long_name_{number}.py": b"" for number in range(2000)}
        built = build_wheel("demo", "1.0", extra_members=members)
        brought = read_in_pieces(built)
        assert len(brought) <= 4
        assert sum(piece.length for piece in brought) <= len(built.data) + 2 * TAIL

    @pytest.mark.parametrize("name", ["Demo", "DEMO", "de-mo"])
    def test_any_spelling_of_name_and_version_will_do(self, name: str) -> None:
        filename = f"{name.lower().replace('-', '_')}-1.0-py3-none-any.whl"
        data = zipped({"x.dist-info/METADATA": build_metadata(name, "1.0.0")})
        assert read(data, filename) == build_metadata(name, "1.0.0")

    @pytest.mark.parametrize(("name", "version"), [("demo", "1.0.1"), ("demos", "1.0"), ("-", "1.0"), ("demo", "x")])
    def test_metadata_of_another_release_is_refused(self, name: str, version: str) -> None:
        with pytest.raises(InvalidUpload, match="another release"):
            read(zipped({METADATA: build_metadata(name, version)}))

    @pytest.mark.parametrize(
        "members",
        [
            {},
            {"demo.py": b""},
            {"METADATA": build_metadata("demo", "1.0")},
            {"demo-1.0.data/METADATA": build_metadata("demo", "1.0")},
            {f"inner/{METADATA}": build_metadata("demo", "1.0")},
            {METADATA: build_metadata("demo", "1.0"), "other-1.0.dist-info/METADATA": b""},
            {METADATA: b"x" * (MAX_METADATA + 1)},
        ],
    )
    def test_a_wheel_without_one_metadata_is_refused(self, members: dict[str, bytes]) -> None:
        with pytest.raises(InvalidUpload, match="has not one METADATA"):
            read(zipped(members))

    @pytest.mark.parametrize("metadata", [b"", b"\n", b"Name: demo\n", b"Version: 1.0\n", b"\x00\xff"])
    def test_metadata_that_says_nothing_is_refused(self, metadata: bytes) -> None:
        with pytest.raises(InvalidUpload):
            read(zipped({METADATA: metadata}))

    def test_a_size_that_lies_about_a_bomb_is_found_out(self) -> None:
        data = bytearray(zipped({METADATA: bytes(MAX_METADATA + 1)}))
        directory = data.index(b"PK\1\2")
        data[directory + 24 : directory + 28] = (100).to_bytes(4, "little")
        with pytest.raises(InvalidUpload):
            read(bytes(data))

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_methods_that_installers_need_not_know_are_refused(self, method: int) -> None:
        with pytest.raises(InvalidUpload, match="compressed in a way"):
            read(zipped({METADATA: build_metadata("demo", "1.0")}, method))

    @pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\5\6" + b"\xff" * 18, b"\0" * 70_000])
    def test_what_is_no_zip_is_refused(self, data: bytes) -> None:
        with pytest.raises(InvalidUpload, match="cannot be read"):
            read(data)

    def test_a_directory_of_millions_is_refused_unread(self) -> None:
        entry = Headers(b"a", 0, 0, 0).central()
        directory = entry * (MAX_DIRECTORY // len(entry) + 1)
        data = directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)
        tracemalloc.start()
        try:
            with pytest.raises(InvalidUpload, match="directory is too large"):
                read(data)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_a_directory_that_claims_more_than_there_is_is_refused(self) -> None:
        data = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0xFFFFFFF0, 0, 0)
        with pytest.raises(InvalidUpload):
            read(data)

    def test_damaged_content_is_refused(self) -> None:
        built = build_wheel("demo", "1.0", description="text " * 100)
        data = bytearray(built.data)
        data[data.index(METADATA.encode()) + len(METADATA) + 4] ^= 0xFF
        with pytest.raises(InvalidUpload, match="cannot be read"):
            read(bytes(data))

    def test_an_encrypted_member_is_refused(self) -> None:
        data = bytearray(zipped({METADATA: build_metadata("demo", "1.0")}))
        for flags in (data.index(b"PK\3\4") + 6, data.index(b"PK\1\2") + 8):
            data[flags] |= 1
        with pytest.raises(InvalidUpload, match="cannot be read"):
            read(bytes(data))
