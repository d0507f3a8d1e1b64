"""Requests as bytes: what no real client lets a test do, and what it needs to look behind one."""

from __future__ import annotations

import hashlib
import http.client
import json
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.builders import BuiltFile

TIMEOUT = 20.0
JSON = "application/vnd.pypi.simple.v1+json"
_BOUNDARY = "a-line-that-no-distribution-has"


@dataclass(frozen=True)
class Reply:
    """A whole answer. `headers` have lower-case names."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def message(self) -> str:
        """The words of an error."""
        return str(json.loads(self.body)["message"])


class ListedFile(NamedTuple):
    """A file as a simple page names it, its link resolved."""

    filename: str
    url: str
    sha256: str


def ask(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Reply:
    """One exchange over a connection of its own; raises OSError or HTTPException where no whole answer comes."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    with closing(http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)) as connection:
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, response.reason, named, response.read())


def list_files(page: str) -> list[ListedFile]:
    """The files of a simple page; the page must be there."""
    reply = ask("GET", page, headers={"Accept": JSON})
    assert reply.status == 200, reply
    files = json.loads(reply.body)["files"]
    return [ListedFile(file["filename"], urljoin(page, file["url"]), file["hashes"]["sha256"]) for file in files]


def list_projects(root: str) -> list[str]:
    """The names of a root index."""
    reply = ask("GET", root, headers={"Accept": JSON})
    assert reply.status == 200, reply
    return [project["name"] for project in json.loads(reply.body)["projects"]]


def check_intact(file: ListedFile) -> None:
    """The link answers the bytes that the page promises."""
    reply = ask("GET", file.url)
    assert reply.status == 200, reply
    assert hashlib.sha256(reply.body).hexdigest() == file.sha256


def upload(url: str, name: str, version: str, built: BuiltFile) -> Reply:
    """POST the legacy upload form."""
    content_type, body = upload_form(name, version, built)
    return ask("POST", url, headers={"Content-Type": content_type}, body=body)


def upload_form(name: str, version: str, built: BuiltFile) -> tuple[str, bytes]:
    """The form's Content-Type and its bytes, the file last."""
    kind = "bdist_wheel" if built.filename.endswith(".whl") else "sdist"
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": name,
        "version": version,
        "filetype": kind,
        "sha256_digest": built.sha256,
    }
    head = "".join(_part(f'name="{field}"') + f"{value}\r\n" for field, value in fields.items())
    head += _part(f'name="content"; filename="{built.filename}"')
    return (
        f"multipart/form-data; boundary={_BOUNDARY}",
        head.encode() + built.data + f"\r\n--{_BOUNDARY}--\r\n".encode(),
    )


def _part(disposition: str) -> str:
    return f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
