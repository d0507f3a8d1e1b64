from __future__ import annotations

import pytest

from proxy.core.digests import FullHasher, parse_sha256, sha256_of
from proxy.core.errors import InvalidInput

# The published digests of "abc" (FIPS 180-2 appendix B.1, RFC 1321 appendix A.5) and of nothing.
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
ABC_MD5 = "900150983cd24fb0d6963f7d28e17f72"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# blake2b of 32 bytes, as `b2sum -l 256` prints it.
ABC_BLAKE2B_256 = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"


def test_one_pass_gives_every_digest_and_the_size() -> None:
    hasher = FullHasher()
    for piece in (b"a", b"", b"bc"):
        hasher.update(piece)
    assert hasher.digests() == (ABC_SHA256, ABC_BLAKE2B_256, ABC_MD5, 3)


def test_nothing_has_digests_too() -> None:
    digests = FullHasher().digests()
    assert digests.sha256 == EMPTY_SHA256
    assert digests.size == 0


def test_the_digests_so_far_can_be_asked_for_on_the_way() -> None:
    hasher = FullHasher()
    assert hasher.digests().sha256 == EMPTY_SHA256
    hasher.update(b"abc")
    assert hasher.digests().sha256 == ABC_SHA256


def test_sha256_of_bytes_at_hand() -> None:
    assert sha256_of(b"abc") == ABC_SHA256


def test_a_sha256_is_read_in_any_case() -> None:
    assert parse_sha256(ABC_SHA256.upper()) == ABC_SHA256


@pytest.mark.parametrize(
    "text",
    ["", "ab", ABC_SHA256[:-1], f"{ABC_SHA256}0", f"{ABC_SHA256}\n", f"g{ABC_SHA256[1:]}", f"%{ABC_SHA256[1:]}"],
)
def test_what_is_no_sha256_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_sha256(text)
