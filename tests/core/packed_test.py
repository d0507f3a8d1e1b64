from __future__ import annotations

import pytest

from proxy.core.digests import Sha256, sha256_of
from proxy.core.model import File
from proxy.core.packed import MAX_LOOSE, PackedFiles, groups, memory_of, pack, revise


def a_file(number: int, *, core_metadata: bool = False) -> File:
    digest = sha256_of(str(number).encode())
    return File(
        f"demo-{number}.tar.gz", f"https://x.example/{number}", {"sha256": digest}, core_metadata=core_metadata
    )


LOOSE = tuple(a_file(number) for number in range(MAX_LOOSE))
MANY = tuple(a_file(number) for number in range(1000))


@pytest.fixture
def packed() -> PackedFiles:
    files = pack(MANY)
    assert isinstance(files, PackedFiles)
    return files


def test_few_files_stay_as_they_are() -> None:
    assert pack(iter(LOOSE)) == LOOSE
    assert isinstance(pack(iter(())), tuple)


def test_packed_files_are_the_files_in_order(packed: PackedFiles) -> None:
    assert tuple(packed) == MANY
    assert (len(packed), packed[7], packed[-1], packed[3:5]) == (1000, MANY[7], MANY[-1], MANY[3:5])
    assert [file for group in groups(packed) for file in group] == list(MANY)


def test_they_equal_the_same_files_in_any_sequence(packed: PackedFiles) -> None:
    assert packed == MANY
    assert list(MANY) == packed
    assert packed == pack(MANY)
    assert packed != MANY[:-1]
    assert packed != (*MANY[:-1], a_file(0))
    assert packed != 1000


def test_a_file_is_found_by_digest_and_name_together(packed: PackedFiles) -> None:
    wanted = MANY[700]
    assert packed.find(wanted.sha256, wanted.filename) == wanted
    assert packed.find(MANY[701].sha256, wanted.filename) is None
    assert packed.find(Sha256(wanted.sha256[:16] + "0" * 48), wanted.filename) is None
    assert packed.find(Sha256("0" * 64), wanted.filename) is None


@pytest.mark.parametrize("files", [MANY, pack(MANY)], ids=["loose", "packed"])
def test_files_are_revised(files: tuple[File, ...]) -> None:
    def revised(file: File) -> File | None:
        number = int(file.filename[5:-7])
        return None if number % 2 else a_file(number, core_metadata=number == 2)

    assert revise(files, revised) == tuple(a_file(number, core_metadata=number == 2) for number in range(0, 1000, 2))
    assert revise(files, lambda file: file) == MANY
    assert not revise(files, lambda _: None)


def test_what_a_revision_does_not_concern_stays(packed: PackedFiles) -> None:
    hopeful = pack((*MANY, a_file(1000, core_metadata=True)))
    assert isinstance(hopeful, PackedFiles)
    assert revise(packed, lambda _: None, lambda chunk: chunk.hopes) == MANY
    assert revise(hopeful, lambda _: None, lambda chunk: chunk.hopes) == MANY[: -(1001 % 64) + 1]


def test_memory_is_told(packed: PackedFiles) -> None:
    assert 100 * 1000 < memory_of(packed) < memory_of(MANY) / 2
    assert memory_of(()) == 0
