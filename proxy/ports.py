"""What the services need of the world. Adapters (sqlite/, disk, upstream) fill these; tests fill them with fakes.

Verbs: `get` raises NotFound when absent, `find` returns None, `list` is ordered, `open` must be closed, `fetch`
crosses the network, `save` replaces, `publish` adds once. Every method may raise StorageTrouble (StorageFull where
no space is left); those of Upstream raise UpstreamTrouble.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from pathlib import Path

    from proxy.core.digests import Digests, Sha256
    from proxy.core.local import LocalFile, NewFile, Release, ReleaseVersion
    from proxy.core.model import PageEntry, ProjectDetail, ProjectStatus, Validators
    from proxy.core.names import Filename, ProjectName
    from proxy.core.policy import LocalFacts
    from proxy.core.ranges import ByteRange
    from proxy.core.releases import Page, ReleaseQuery
    from proxy.core.tokens import Token


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


PREFIXES = tuple(f"{first_byte:02x}" for first_byte in range(256))
"""The first two hex digits of all digests: what is many is listed a prefix at a time."""


class Blob(NamedTuple):
    """Immutable bytes that were verified: a file that is never written again."""

    sha256: Sha256
    size: int
    path: Path


class BlobFacts(NamedTuple):
    """What the file system tells of a blob: its bytes were last committed at `stored_at`."""

    sha256: Sha256
    size: int
    stored_at: datetime


class ShownPart(Protocol):
    """A part that another process writes, to read along with it; it must be closed. `length` is as it was shown."""

    @property
    def length(self) -> int | None: ...

    @property
    def size(self) -> int:
        """Bytes written so far; it does not wait. Raises StorageTrouble."""
        ...

    async def read(self, offset: int, size: int) -> bytes:
        """At most `size` of the written bytes from `offset`, also after its end; empty where there are none."""
        ...

    async def is_kept(self) -> bool:
        """Whether it was committed under the digest that it was shown by: it was verified then, and is the blob."""
        ...

    async def close(self) -> None: ...


class BlobWriter(Protocol):
    """A part: bytes that nobody can open by digest until `commit`. One writer, many readers; it must be closed."""

    @property
    def size(self) -> int:
        """Bytes written so far; all of them can be read."""
        ...

    def show(self, sha256: Sha256, length: int | None) -> None:
        """Before the first byte: let other processes read along what is to become this blob (`find_shown`).

        `length` is how long it will be, as far as anybody told.
        """
        ...

    async def hide(self) -> None:
        """Nobody else finds it any more: it has failed."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def read(self, offset: int, size: int) -> bytes:
        """At most `size` of the written bytes from `offset`, also after a commit; empty at the end."""
        ...

    def reader(self) -> BinaryIO:
        """A seekable file over what was written, for blocking use in a thread; its owner closes it."""
        ...

    def digests(self) -> Digests:
        """The digests of all that was written."""
        ...

    async def commit(self) -> Blob:
        """Make the bytes durable (file and directory entry) and name them by digest, in one step.

        Until this part is closed or lets go nobody deletes the blob: its owner has time to add the row that names it.
        """
        ...

    async def let_go(self) -> None:
        """The row is in: what was committed may be deleted from now on, and is read here all the same."""
        ...

    async def close(self) -> None:
        """Give the part up: what was not committed is removed. Harmless when repeated."""
        ...


class BlobStore(Protocol):
    async def writer(self, *, full_digests: bool = False) -> BlobWriter:
        """A new part. `full_digests` computes md5 and blake2b as well as sha256 (they are empty otherwise)."""
        ...

    async def find(self, sha256: Sha256) -> Blob | None: ...

    async def find_shown(self, sha256: Sha256) -> ShownPart | None:
        """The part that another process shows as on its way to this digest, and has bytes in."""
        ...

    async def read(self, sha256: Sha256, *, limit: int) -> bytes | None:
        """The whole of a small blob, or None when absent; raises StorageTrouble when it is over `limit` bytes."""
        ...

    async def delete(self, sha256: Sha256, *, older_than: datetime | None = None) -> bool:
        """Remove a blob; whether it went. Who has it open reads on.

        One that is absent or not `older_than` stays as it is, and so does one near a blob that an open part committed
        (`list_held`), or while somebody holds the store still.
        """
        ...

    async def list_held(self) -> Collection[str]:
        """The prefixes of blobs that open parts committed: rows that name them may be on their way.

        So a blob that no row names, listed after this was asked and last committed before, is nobody's.
        """
        ...

    def held_still(self) -> AbstractAsyncContextManager[None]:
        """For the block, no blob is deleted by whomever, in any process; they may be added. One holder at a time."""
        ...

    async def list_blobs(self, prefix: str) -> Sequence[BlobFacts]:
        """The blobs whose digests begin with `prefix`, two hex digits (`PREFIXES` has all), ordered by digest."""
        ...

    async def is_intact(self, sha256: Sha256) -> bool | None:
        """Whether a blob's bytes still have its digest; None when it is absent. Reads all of it, in a thread."""
        ...

    async def quarantine(self, sha256: Sha256) -> bool:
        """Put a blob whose bytes are wrong aside, where nobody opens it and a person may look at it; whether it went.

        One that is absent, intact (as where the same bytes were committed again meanwhile) or held as `delete` says
        stays as it is.
        """
        ...

    async def sweep(self, older_than: datetime) -> int:
        """Remove parts that were last written before and that no writer has open; returns the bytes freed."""
        ...

    async def probe(self) -> None:
        """Write, read and remove a few bytes; raises StorageTrouble."""
        ...


class Flights(Protocol):
    """Who fetches what, among the processes that serve from one data directory. Nothing here waits."""

    @property
    def alone(self) -> bool:
        """Whether there is no other process, so that each claim succeeds."""
        ...

    def claim(self, key: str) -> bool:
        """Whether this process may fetch it: no other does. None may then, until this one lets go or dies.

        In a process that has the claim it succeeds again, and is let go of as often.
        """
        ...

    def let_go(self, key: str) -> None: ...


class PageFacts(NamedTuple):
    """What is known of a stored page without its detail. Pages with equal `version`s are the same page."""

    checked_at: datetime
    version: PageVersion


class PageVersion(NamedTuple):
    validators: Validators
    links: str
    serial: int | None


class PageStore(Protocol):
    """Cached pages of upstreams, by (upstream, project)."""

    async def find_page(self, upstream: str, name: ProjectName) -> PageEntry | None: ...

    async def find_page_facts(self, upstream: str, name: ProjectName) -> PageFacts | None: ...

    async def save_page(self, entry: PageEntry) -> None: ...

    async def confirm_page(self, entry: PageEntry) -> bool:
        """Note when the upstream last confirmed this page; False where it is not what the store has of it."""
        ...

    async def delete_page(self, upstream: str, name: ProjectName) -> None: ...


class CoreMetadataStore(Protocol):
    """Core metadata that was read out of an upstream's wheels: digest of the wheel to digest of its METADATA."""

    async def list_core_metadata(self, upstream: str, name: ProjectName) -> Mapping[Sha256, Sha256]: ...

    async def save_core_metadata(self, upstream: str, name: ProjectName, wheel: Sha256, metadata: Sha256) -> None: ...


class LocalStore(Protocol):
    """What was published here. Projects are given by their ids."""

    def generation(self) -> bytes:
        """A mark that is another one after each change of what is published, by whichever process; it does not wait.

        What is read here after the mark was looked at holds while the mark does, or a little longer after a kill.
        """
        ...

    async def find_facts(self, root: int, projects: Collection[int], name: ProjectName) -> LocalFacts:
        """Whether `name` is or was held under the top-level group `root`, and by which of its `projects` it is now."""
        ...

    async def publish(self, file: NewFile, *, root: int, now: datetime) -> LocalFile:
        """Add the file, its release and its claim on the name in one transaction: the moment of publication.

        Raises NameTaken when the project has a file of this name.
        """
        ...

    async def list_files(self, projects: Collection[int], name: ProjectName) -> Sequence[LocalFile]:
        """The files of a name in these projects, ordered by id."""
        ...

    async def list_names(self, projects: Collection[int]) -> Sequence[ProjectName]:
        """The names with at least one file in these projects, sorted, each once."""
        ...

    async def find_status(self, projects: Collection[int], name: ProjectName) -> ProjectStatus | None:
        """The status of a name, the severest where several projects have one."""
        ...

    async def save_yank(self, files: Collection[int], reason: str | None) -> None:
        """Yank these files with a reason (perhaps empty), or take it back (None)."""
        ...

    async def find_attestations(self, file: int) -> str | None:
        """What the upload brought as attestations: the JSON text of an array."""
        ...

    async def save_status(self, project_id: int, name: ProjectName, status: ProjectStatus) -> None: ...

    async def find_file(self, projects: Collection[int], sha256: Sha256, filename: Filename) -> LocalFile | None:
        """The file with this digest and name; the newest where several projects hold it."""
        ...


class ReleaseStore(Protocol):
    """Published releases as lists show them, and how they end. `root` is the top-level group of their project."""

    async def list_releases(self, projects: Sequence[int], query: ReleaseQuery, page: Page) -> Sequence[Release]:
        """One page of the releases of these projects (given in the order of their paths) that match the query."""
        ...

    async def count_releases(self, projects: Sequence[int], query: ReleaseQuery) -> int:
        """How many match."""
        ...

    async def find_release(self, project_id: int, release: int) -> Release | None: ...

    async def list_versions(self, project_id: int, name: ProjectName) -> Sequence[ReleaseVersion]:
        """All releases of a name in a project, ordered by id."""
        ...

    async def list_release_files(self, release: int) -> Sequence[LocalFile]:
        """The files of a release, ordered by id."""
        ...

    async def delete_release(self, release: int, *, root: int) -> bool:
        """Remove a release and its files, and claim their name; whether there was such a release."""
        ...

    async def delete_files(self, files: Collection[int], *, root: int) -> int:
        """Remove files, and releases that are left without any, and claim their names; how many files there were."""
        ...

    async def record_downloads(self, downloads: Mapping[int, datetime]) -> None:
        """Note when files of these releases were last downloaded; one that is gone or known later is passed over."""
        ...

    async def release_name(self, root: int, projects: Collection[int], name: ProjectName) -> bool:
        """Give up the claim on a name; whether there was one. Raises NameHeld while any of `projects` has its files.

        `projects` are all those under the root.
        """
        ...


class CachedBlob(NamedTuple):
    sha256: Sha256
    size: int
    used_at: datetime


class PublishedBlob(NamedTuple):
    """A blob that published files name, and the first of them; `filename` ends in `.metadata` for core metadata."""

    sha256: Sha256
    project_id: int
    name: ProjectName
    filename: str


class Use(NamedTuple):
    """A cached blob of this size was served then."""

    size: int
    at: datetime


class CacheSize(NamedTuple):
    """Bytes of what was cached: blobs, and pages as they are stored."""

    blobs: int
    pages: int


class CacheStore(Protocol):
    """What is known of cached blobs and of the room that the cache takes; eviction and accounting stand on it.

    A blob that a published file names, as its bytes or as its core metadata, is none of the cache's.
    """

    async def record_cached(self, sha256: Sha256, size: int, now: datetime) -> None: ...

    async def record_uses(self, uses: Mapping[Sha256, Use]) -> None:
        """Note when blobs were last used; one that was not counted yet counts from now on, a published one never."""
        ...

    async def measure_cache(self) -> CacheSize: ...

    async def list_least_used(self, limit: int) -> Sequence[CachedBlob]:
        """Cached blobs that no published file names, the least recently used first."""
        ...

    async def list_cached(self, prefix: str) -> Sequence[CachedBlob]:
        """Cached blobs whose digests begin with `prefix`, ordered by digest."""
        ...

    async def list_published(self, prefix: str) -> Sequence[PublishedBlob]:
        """Blobs that published files name, as their bytes or as their core metadata, by digest, each once."""
        ...

    async def forget_cached(self, blobs: Collection[Sha256]) -> None:
        """They are cached no more."""
        ...

    async def delete_oldest_pages(self, room: int) -> int:
        """Delete pages, the longest unconfirmed first, until at most `room` bytes are left; the bytes freed."""
        ...


class TokenStore(Protocol):
    """The tokens made by command. Revoked ones are kept."""

    async def add_token(self, token: Token, *, now: datetime) -> None:
        """Add a token, created now; raises TokenNameTaken while one of its name is not revoked."""
        ...

    async def list_tokens(self) -> Sequence[Token]:
        """All that were ever added, in that order."""
        ...

    async def revoke_token(self, name: str, *, now: datetime) -> None:
        """End the token of this name; raises NotFound where none is left that was not revoked."""
        ...

    async def count_token_changes(self) -> int:
        """Grows with each token that is added or revoked, by whichever process: a cheap way to see that none was."""
        ...

    async def note_token(self) -> None:
        """Remember for ever that there was a token; adding one does it too."""
        ...

    async def ever_had_token(self) -> bool: ...


class MetadataStore(PageStore, CoreMetadataStore, LocalStore, ReleaseStore, CacheStore, TokenStore, Protocol):
    async def probe(self) -> None:
        """Write and read a row; raises StorageTrouble."""
        ...


class FetchedPage(NamedTuple):
    """A page that the upstream sent whole, parsed and checked; `serial` counts the changes of its index, if told.

    `size` is that of its text, in bytes.
    """

    detail: ProjectDetail
    validators: Validators
    serial: int | None = None
    size: int = 0


class NotModified(NamedTuple):
    """The upstream says that the page it confirmed before still stands (304)."""


class Absent(NamedTuple):
    """The upstream says that it has no such project (404 or 410)."""


PageAnswer: TypeAlias = FetchedPage | NotModified | Absent


class Body(NamedTuple):
    """An upstream's answer for a file: the length it promised (None: not told) and its chunks."""

    length: int | None
    chunks: AsyncGenerator[bytes, None]


class Upstream(Protocol):
    """One remote index. Methods raise UpstreamTrouble when it cannot be reached or does not keep its word."""

    @property
    def name(self) -> str: ...

    @property
    def links(self) -> str:
        """The hosts that its links may name, as one string; a cached page checked against others is fetched whole."""
        ...

    async def fetch_page(self, name: ProjectName, validators: Validators | None) -> PageAnswer: ...

    async def has_page(self, name: ProjectName) -> bool | None:
        """Whether the upstream has the project, without its page; None where it does not tell."""
        ...

    async def fetch_size(self, url: str) -> int | None:
        """The size of a file in bytes, without its body; None where the upstream does not tell."""
        ...

    async def fetch_provenance(self, url: str) -> bytes:
        """A provenance object (PEP 740) as it came; raises NotFound."""
        ...

    def open_file(self, url: str, wanted: ByteRange | None = None) -> AbstractAsyncContextManager[Body]:
        """The bytes of a file, or of a range of it; raises NotFound when the upstream has no such file."""
        ...

    def open_rest(self, url: str, first: int, size: int | None) -> AbstractAsyncContextManager[Body]:
        """The bytes of a file from `first` on, by range where the upstream sends ranges; raises as `open_file` does.

        UpstreamBroken where the file has not the `size` that is known of it.
        """
        ...
