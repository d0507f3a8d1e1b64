"""Simple pages in HTML, read with the standard library's parser as a client would."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass(frozen=True)
class Anchor:
    attributes: dict[str, str]
    text: str

    @property
    def href(self) -> str:
        return self.attributes["href"]


@dataclass(frozen=True)
class HtmlPage:
    anchors: tuple[Anchor, ...]
    metas: dict[str, str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[Anchor] = []
        self.metas: dict[str, str] = {}
        self._open: dict[str, str] | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._open, self._text = attributes, ""
        if tag == "meta" and "name" in attributes:
            self.metas[attributes["name"]] = attributes["content"]

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open is not None:
            self.anchors.append(Anchor(self._open, self._text))
            self._open = None


def read_html(body: bytes) -> HtmlPage:
    reader = _Reader()
    reader.feed(body.decode())
    reader.close()
    return HtmlPage(tuple(reader.anchors), reader.metas)
