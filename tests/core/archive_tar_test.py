from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Literal

import pytest

from proxy.core.archive_tar import check_link, is_tar_header, walk_tar
from proxy.core.errors import BadArchive
from tests.core.archives import TarMember, crafted_zip, extension, padded, pax, pax_record, tar_block, tar_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]
END = bytes(1024)
LONG = f"top/{'directory/' * 12}{'x' * 90}"
LARGE = b"\x80" + (2**40).to_bytes(11, "big")


def in_pieces(data: bytes, size: int = 700) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def contents(data: bytes) -> dict[str, bytes]:
    return {member.path: b"".join(member.content) for member in walk_tar(in_pieces(data))}


@pytest.mark.parametrize("form", FORMATS)
def test_members_are_read_in_order_with_their_bytes(form: Literal[0, 1, 2]) -> None:
    tar = tar_of(
        [
            TarMember("top", type=tarfile.DIRTYPE),
            TarMember("top/a", b"alpha" * 300),
            TarMember("top/empty"),
            TarMember(LONG, b"b"),
            TarMember("top/contiguous", b"c", tarfile.CONTTYPE),
        ],
        form,
    )

    members = [(member.path, member.is_file, b"".join(member.content)) for member in walk_tar(in_pieces(tar))]

    assert members == [
        ("top", False, b""),
        ("top/a", True, b"alpha" * 300),
        ("top/empty", True, b""),
        (LONG, True, b"b"),
        ("top/contiguous", True, b"c"),
    ]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_targets_are_read(form: Literal[1, 2]) -> None:
    name, target = "top/" + "n" * 150, "t" * 150

    assert contents(tar_of([TarMember(name, type=tarfile.SYMTYPE, link=target)], form)) == {name: b""}


@pytest.mark.parametrize("name", ["top/é", "top/\udcff"])
def test_names_beyond_ascii_are_read(name: str) -> None:
    assert contents(tar_of([TarMember(name, b"1")])) == {name: b"1"}


def test_names_may_start_at_the_current_directory() -> None:
    tar = tar_of([TarMember("./", type=tarfile.DIRTYPE), TarMember("./top/a", b"1")])

    assert contents(tar) == {"top/a": b"1"}


def test_a_comment_for_all_members_is_passed_over() -> None:
    comment = extension(pax_record("comment", "0123abcd"), b"g")

    assert contents(comment + tar_block(b"top/a") + END) == {"top/a": b""}


def test_zeros_may_follow_and_the_end_may_be_missing() -> None:
    member = tar_block(b"top/a", size=b"1") + padded(b"1")

    assert contents(member) == contents(member + bytes(512)) == contents(member + bytes(10240)) == {"top/a": b"1"}


def test_what_the_caller_leaves_is_passed_over() -> None:
    tar = tar_of([TarMember("top/a", b"alpha" * 300), TarMember("top/b")])

    assert [member.path for member in walk_tar(in_pieces(tar))] == ["top/a", "top/b"]


def test_a_tar_cut_anywhere_within_a_member_is_refused() -> None:
    tar = tar_block(b"top/a", size=b"1") + padded(b"1")

    for length in range(1, len(tar)):
        with pytest.raises(BadArchive):
            contents(tar[:length])


def test_a_size_may_be_larger_than_octal_digits_can_say() -> None:
    with pytest.raises(BadArchive, match="truncated"):
        contents(tar_block(b"top/a", size=LARGE))
    with pytest.raises(BadArchive, match="truncated"):
        contents(pax(size=str(2**40)) + tar_block(b"top/a"))


def test_a_time_before_1970_is_accepted() -> None:
    assert contents(tar_block(b"top/a", mtime=b"\xff" * 12) + END) == {"top/a": b""}


REFUSED = {
    "is corrupt": {
        "a wrong checksum": tar_block(b"top/a").replace(b"top", b"tap") + END,
        "a checksum that is no number": tar_block(b"top/a")[:148] + b"_000_00 " + tar_block(b"top/a")[156:] + END,
        "a size that is no number": tar_block(b"top/a", size=b"0x1"),
        "a negative size": tar_block(b"top/a", size=b"\xff" * 12),
        "a mode that is no number": tar_block(b"top/a", mode=b"rwx") + END,
        "no tar at all": b"\x1f\x8b" * 256,
    },
    "data follows the end of the tar archive": {
        "data after the end": tar_block(b"top/a") + END + tar_block(b"top/b"),
        "data after one zero block": tar_block(b"top/a") + bytes(512) + tar_block(b"top/b"),
        "an extension of no member": pax(path="top/a") + END,
        "an extension at the end of the file": pax(path="top/a"),
    },
    "has a member that is no file, directory or link": {
        "a character device": tar_block(b"top/a", type_=b"3") + END,
        "a block device": tar_block(b"top/a", type_=b"4") + END,
        "a fifo": tar_block(b"top/a", type_=b"6") + END,
        "a sparse file": tar_block(b"top/a", type_=b"S") + END,
        "a volume's second part": tar_block(b"top/a", type_=b"M") + END,
        "an unknown type": tar_block(b"top/a", type_=b"?") + END,
    },
    "has a directory or link with content": {
        "a directory with content": tar_block(b"top/", type_=b"5", size=b"1") + padded(b"1") + END,
        "a link with content": tar_block(b"top/a", type_=b"2", size=b"1", linkname=b"b") + padded(b"1") + END,
    },
    "has a file of a directory's name": {
        "a file named as a directory": tar_block(b"top/", type_=b"0") + END,
    },
    "has a member of two names": {
        "a prefix that only some formats have": tar_block(b"a", magic=b"ustar  \0", prefix=b"top") + END,
        "a long name beyond its size": tar_block(b"long", size=b"3", type_=b"L")
        + padded(b"top/a")
        + tar_block(b"c")
        + END,
    },
    "has a member of two names or sizes": {
        "two long names": pax(path="top/a") + pax(path="top/b") + tar_block(b"c") + END,
        "long names of both kinds": pax(path="top/a") + extension(b"top/b\0", b"L") + tar_block(b"c") + END,
        "two names in one extension": extension(pax_record("path", "a") + pax_record("path", "b"), b"x") + END,
    },
    "gives all its members one name or size": {
        "a name for all members": extension(pax_record("path", "a"), b"g") + tar_block(b"c") + END,
    },
    "has a member of two sizes": {
        "two sizes": pax(size="1") + tar_block(b"top/a", size=b"0") + padded(b"1") + END,
        "a size that is negative": pax(size="-1") + tar_block(b"top/a") + END,
    },
    "has an extension header that is corrupt or not supported": {
        "a sparse map": pax(GNU_sparse_map="0,1") + tar_block(b"top/a") + END,
        "a record longer than the extension": extension(b"99 path=a\n", b"x"),
        "a record shorter than its keyword": extension(b"5 path=a\n", b"x"),
        "a record without its end": extension(b"9 path=ab", b"x"),
        "a record without a length": extension(b"path=abcd", b"x"),
    },
    "has too many extension headers in a row": {
        "extensions only": pax(comment="1") * 6 + tar_block(b"top/a") + END,
    },
    "has an extension header that is too large": {
        "an extension that is too large": tar_block(b"pax", size=b"4000001", type_=b"x") + bytes(2**21),
    },
    "has a member of a name that is too long": {
        "a name without an end": pax(path="a" * 20_000) + tar_block(b"top/a") + END,
    },
    "the archive has a member below a link": {
        "a member below a link": tar_of([TarMember("top/l", type=tarfile.SYMTYPE, link="d"), TarMember("top/l/d/a")]),
    },
}
CASES = [pytest.param(data, reason, id=name) for reason, cases in REFUSED.items() for name, data in cases.items()]


@pytest.mark.parametrize(("data", "reason"), CASES)
def test_what_is_broken_or_could_be_read_in_two_ways_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadArchive, match=f"^Validation failed: .*{reason}"):
        contents(data)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("top/a", "b"),
        ("top/a", "d/b"),
        ("top/a", "./d//b/"),
        ("top/a", "."),
        ("top/d/a", "../b"),
        ("top/d/e/a", "../../b"),
    ],
)
def test_symbolic_links_may_stay_inside(path: str, target: str) -> None:
    check_link(path, target, symbolic=True)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("top/a", ""),
        ("top/a", "/etc/passwd"),
        ("top/a", ".."),
        ("top/a", "../other/b"),
        ("top/d/a", "../../b"),
        ("top/a", "d/.."),
        ("top/a", "d/../../.."),
        ("top/a", "./../.."),
        ("top/a", "d\\..\\.."),
        ("top/a", "C:/b"),
        ("a", "../b"),
    ],
)
def test_symbolic_links_may_not_point_outside(path: str, target: str) -> None:
    with pytest.raises(BadArchive):
        check_link(path, target, symbolic=True)


def test_hard_links_name_a_member_of_the_same_top_directory() -> None:
    tar = tar_of([TarMember("top/a", b"1"), TarMember("top/b", type=tarfile.LNKTYPE, link="top/a")])

    assert contents(tar) == {"top/a": b"1", "top/b": b""}


@pytest.mark.parametrize("target", ["", "a", "other/a", "../top/a", "/top/a", "top/../top/a", "top/d/../../../a"])
def test_hard_links_may_not_point_outside(target: str) -> None:
    with pytest.raises(BadArchive):
        contents(tar_of([TarMember("top/b", type=tarfile.LNKTYPE, link=target)]))


def test_a_tar_header_is_known_by_its_checksum() -> None:
    assert is_tar_header(tar_block(b"top/a"))
    assert not is_tar_header(tar_block(b"top/a")[:-1])
    assert not is_tar_header(crafted_zip().ljust(512, b"\0"))
