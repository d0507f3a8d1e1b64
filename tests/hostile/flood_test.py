"""Many requests, and long ones: what is remembered of them has a bound, and the work grows no faster than they."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import process_time
from typing import TYPE_CHECKING

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from proxy.core.credentials import Basic
from proxy.core.distributions import parse_distribution
from proxy.core.errors import InvalidName, InvalidUpload, NotAcceptable
from proxy.core.names import Filename, parse_filename, parse_group_path, parse_project_name
from proxy.core.negotiate import choose_encoding, choose_representation, prefers_html
from proxy.core.ranges import parse_range
from proxy.core.upload import UploadForm, check_form
from proxy.services.guesses import MAX_ADDRESSES, Guesses
from proxy.web.connections import Limits
from proxy.web.site import CURRENT
from tests.builders import build_wheel
from tests.web.server import HTML, JSON, TEXT, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.services.pages import Pages
    from tests.fake_index import FakeIndex
    from tests.hostile.bounded import BoundedServer
    from tests.hostile.conftest import MakeBounded

WHEEL = build_wheel("demo", "1.0")
SECRET = "glpat-0123456789"


def pages_of(server: BoundedServer) -> Pages:
    return server.app[CURRENT].site.pages


async def test_many_ways_to_ask_for_a_page_are_one_page(server: BoundedServer) -> None:
    await publish(server, WHEEL)
    for number in range(300):
        q = f"0.{number + 100}"
        accept = f"{JSON};q={q}, x/y{number};q=0.1, {HTML};q=0.05"
        assert (await server.get("/simple/demo/", Accept=accept, Accept_Encoding=f"br;q={q}")).status == 200
        assert (await server.get(f"/simple/demo/?x={number}&format={JSON.replace('+', '%2b')}")).status == 200
    assert len(pages_of(server)._rendered) == 1
    for accept in (JSON, HTML, TEXT):
        for coding in ("gzip", "zstd", "identity", "br", "*"):
            await server.get("/simple/demo/", Accept=accept, Accept_Encoding=coding)
    assert len(pages_of(server)._rendered) <= 9


async def test_many_spellings_of_a_page_are_one_page(make_bounded: MakeBounded, index: FakeIndex) -> None:
    index.add_built("demo", WHEEL)
    server = await make_bounded(Limits(), f'{forwards_to(index)}[server]\nexternal_url = "https://pypi.example"\n')
    for spelled in ("demo", "%64emo", "d%65mo", "%64%65%6d%6f", "%64%65%6D%6F", "dem%6f?x=y"):
        path, _, query = spelled.partition("?")
        assert (await server.get_raw(f"/simple/{path}/?{query}".encode())).status == 200
    assert len(pages_of(server)._rendered) == 1


async def test_files_that_nobody_lists_ask_nothing_and_leave_nothing(server: BoundedServer, index: FakeIndex) -> None:
    await publish(server, WHEEL)
    for number in range(100):
        for path in (f"/files/{number:064x}/{WHEEL.filename}", f"/files/{number:064x}/{WHEEL.filename}.metadata"):
            assert (await server.get(path)).status == 404
    assert index.requests == []
    assert len(pages_of(server)._rendered) == 0


async def test_hundreds_at_once_are_answered(server: BoundedServer) -> None:
    await publish(server, WHEEL)
    answers = await asyncio.gather(*(server.get("/simple/demo/", Accept=JSON) for _ in range(300)))
    assert {answer.status for answer in answers} == {200}


def test_guesses_from_everywhere_take_bounded_memory() -> None:
    guesses = Guesses()
    for number in range(3 * MAX_ADDRESSES):
        guesses.note(f"2001:db8::{number:x}", float(number))
    assert len(guesses._notes) == MAX_ADDRESSES


# Time


def cost(call: Callable[[str], object], text: str) -> float:
    """Seconds of this process alone, whether the text is accepted or refused."""
    started = process_time()
    with suppress(InvalidName, InvalidUpload, NotAcceptable, InvalidSpecifier):
        call(text)
    return process_time() - started


def form_of(field: str) -> Callable[[str], object]:
    fields = {"name": ("demo",), "version": ("1.0",), "requires_python": (">=3",)}
    return lambda text: check_form(UploadForm(fields | {field: (text,)}, "demo-1.0.tar.gz"))


CALLS: dict[str, Callable[[str], object]] = {
    "project name": parse_project_name,
    "group path": parse_group_path,
    "file name": parse_filename,
    "distribution": lambda text: parse_distribution(Filename(text)),
    "accept": lambda text: choose_representation(text, None),
    "format": lambda text: choose_representation(None, text),
    "accept-encoding": choose_encoding,
    "error's accept": prefers_html,
    "range": lambda text: parse_range(text, 1000),
    "requires-python": SpecifierSet,
    "form's name": form_of("name"),
    "form's version": form_of("version"),
    "form's requires_python": form_of("requires_python"),
    "form's attestations": form_of("attestations"),
    "form's digest": form_of("sha256_digest"),
}
UNITS = [
    "a",
    "1",
    "-",
    ".",
    "1.",
    "a-",
    "-_.",
    "1!",
    "1.0-py3",
    ",",
    "a/b,",
    ";q=0.1,",
    " ",
    ">=1,",
    "==1.*,",
    "[",
    "0,",
    "\0",
]
LONG = 100_000
ENOUGH = 5.0
"""Seconds, where linear time takes hundredths of one, and quadratic time minutes."""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_long_text_costs_little(call: Callable[[str], object]) -> None:
    for unit in UNITS:
        for text in (
            unit * (LONG // len(unit)),
            unit * (LONG // len(unit)) + "\n!",
            "demo-1.0" + unit * 1000 + ".whl",
        ):
            assert cost(call, text) < ENOUGH, (unit, text[-5:])


# The log


async def test_no_secret_and_no_line_of_a_clients_making_is_in_the_log(
    server: BoundedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = SECRET.encode()
    for target in (
        b"/simple/?private_token=" + secret,
        b"http://user:" + secret + b"@127.0.0.1/simple/",
        b"/simple/%0d%0aERROR%20forged%1b[2J%00/",
        b"/simple/%E2%80%A8ERROR%20forged/",
    ):
        await server.get_raw(
            target,
            b"Private-Token: " + secret,
            b"Deploy-Token: " + secret,
            b"Authorization: Bearer " + secret,
            b"Cookie: session=" + secret,
            b"Referer: https://x/?private_token=" + secret,
            b"User-Agent: ERROR forged",
        )
    assert SECRET not in caplog.text
    assert Basic("u", SECRET).password not in caplog.text
    for line in caplog.messages:
        assert "ERROR forged" not in line
        assert line.isprintable()
