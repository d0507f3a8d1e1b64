"""Laws of the upload form on the wire: any bytes are a form or refused, and it is the same however they arrive."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import InvalidUpload
from proxy.core.upload import UploadForm
from proxy.web import upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

BOUNDARY = "xyz"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


class Sink:
    """Takes the file's bytes as an `Upload` does."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        self.data += data


def read_form(body: Sequence[bytes], content_type: str = FORM) -> tuple[UploadForm, bytes]:
    """The form that the pieces of a body make, and the bytes of its file."""

    async def read() -> tuple[UploadForm, bytes]:
        sink = Sink()
        return await upload._read_form(request_of(body, content_type), sink), sink.data  # type: ignore[arg-type]

    return asyncio.run(read())


def request_of(body: Sequence[bytes], content_type: str) -> web.Request:
    stream = StreamReader(Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
    for piece in body:
        stream.feed_data(piece)
    stream.feed_eof()
    return make_mocked_request("POST", "/legacy/", {"Content-Type": content_type}, payload=stream)


# aiohttp takes a quoted name apart at its semicolons; no field of an upload has one.
names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\/;'), min_size=1, max_size=20)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=200).filter(
    lambda text: f"--{BOUNDARY}" not in text
)
contents = st.binary(max_size=2000).filter(lambda data: f"--{BOUNDARY}".encode() not in data)


def written(fields: Sequence[tuple[str, str]], filename: str, data: bytes) -> bytes:
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields]
    parts.append(f'name="content"; filename="{filename}"\r\n\r\n'.encode() + data)
    start = f"--{BOUNDARY}\r\nContent-Disposition: form-data; ".encode()
    return b"".join(start + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def pieces_of(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in pairwise(places)]


cuts = st.lists(st.integers(0, 10_000), max_size=8)


@given(st.lists(st.tuples(names, values), max_size=5), contents, cuts)
def test_a_form_is_the_same_however_it_arrives(fields: list[tuple[str, str]], data: bytes, cut: list[int]) -> None:
    form, received = read_form(pieces_of(written(fields, "demo-1.0.zip", data), cut))

    assert received == data
    assert form.filename == "demo-1.0.zip"
    assert form.fields == {name: tuple(value for other, value in fields if other == name) for name, _ in fields}


fragments = st.sampled_from(
    [
        b"--xyz\r\n",
        b"--xyz--\r\n",
        b"--xyz",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"--",
        b'Content-Disposition: form-data; name="name"',
        b'Content-Disposition: form-data; name="content"; filename="demo-1.0.zip"',
        b"Content-Disposition: form-data; name*=utf-8''a; filename*0=x; filename*1=y",
        b"Content-Disposition: attachment",
        b"Content-Type: multipart/mixed; boundary=xyz",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Encoding: gzip",
        b"Content-Length: 5",
        b"Content-Length: 99999999999999999999",
        b": ",
        b"=?utf-8?q?=00?=",
        b'Content-Disposition: form-data; name="_charset_"',
        b"\0",
        b"\xff" * 9,
        b"x" * 9000,
    ]
)
types = st.sampled_from(
    [FORM, "multipart/form-data", "multipart/form-data; boundary=", f"{FORM}; charset=x", "multipart/"]
)


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionParam")
@given(st.lists(fragments | st.binary(max_size=12), max_size=16), cuts, types)
def test_any_body_is_a_form_or_refused(body: list[bytes], cut: list[int], content_type: str) -> None:
    with suppress(InvalidUpload):
        form, _ = read_form(pieces_of(b"".join(body), cut), content_type)
        assert isinstance(form, UploadForm)
