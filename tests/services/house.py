"""The services over fakes, put together as the composition does it; only the blobs are real files.

One public group `acme` with one project `acme/packages`, forwarding to the upstream `pypi`, unless told otherwise.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from proxy.core.access import Anonymous, anonymous
from proxy.core.distributions import parse_distribution
from proxy.core.names import Filename, GroupPath, ProjectName
from proxy.core.registry import Group, Project, Registry, Upstream
from proxy.core.upload import UploadForm
from proxy.disk import open_blob_store
from proxy.services.curate import Curator
from proxy.services.downloads import Download, Downloads
from proxy.services.files import Files
from proxy.services.listings import Listings, UpstreamFile
from proxy.services.neighbours import ALONE
from proxy.services.pages import Pages
from proxy.services.publish import Publisher
from proxy.services.upstream_pages import UpstreamPages
from proxy.services.wheel_metadata import WheelMetadata
from tests.fakes.gate import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from proxy.core.access import Principal
    from proxy.core.digests import Sha256
    from proxy.core.freshness import CacheRules
    from proxy.core.local import LocalFile
    from proxy.core.model import File
    from proxy.ports import BlobStore
    from proxy.services.neighbours import Neighbours
    from tests.builders import BuiltFile
    from tests.fakes.clock import FakeClock
    from tests.fakes.metadata_store import MemoryMetadataStore
    from tests.fakes.upstream import FakeUpstream

ACME = Group(1, GroupPath("acme"))
"""The group of most tests; those of other rules replace its fields."""
PACKAGES = Project(1, GroupPath("acme/packages"), ACME.path)
READER = anonymous(Anonymous.READ)
PUBLISHER = anonymous(Anonymous.PUBLISH)
DEMO, SIX = ProjectName("demo"), ProjectName("six")
MAX_UPLOAD = 200_000


@dataclass(frozen=True)
class House:
    """`group` is the registry's first."""

    group: Group
    clock: FakeClock
    store: MemoryMetadataStore
    blobs: BlobStore
    data_dir: Path
    upstreams: dict[str, FakeUpstream]
    upstream_pages: UpstreamPages
    wheel_metadata: WheelMetadata
    downloads: Downloads
    listings: Listings
    pages: Pages
    files: Files
    publisher: Publisher
    curator: Curator

    @property
    def pypi(self) -> FakeUpstream:
        return self.upstreams["pypi"]

    @property
    def idle(self) -> bool:
        """Whether no download and no reading of metadata is under way."""
        return not self.downloads._tasks and not self.wheel_metadata._flights.count

    def parts(self) -> list[str]:
        """What is not committed."""
        return [path.name for path in (self.data_dir / "parts").iterdir()]

    def stored(self) -> set[str]:
        """The digests of all blobs."""
        return {path.parent.name + path.name for path in (self.data_dir / "blobs").glob("??/*")}


class MakeHouse(Protocol):
    """Opens a house that the test's end closes. A second one on the same store and directory is a restart."""

    async def __call__(
        self,
        *groups: Group,
        projects: Iterable[Project] = ...,
        upstreams: Iterable[FakeUpstream] = ...,
        rules: CacheRules = ...,
        store: MemoryMetadataStore | None = ...,
        clock: FakeClock | None = ...,
        neighbours: Neighbours = ...,
    ) -> House: ...


def registry_of(groups: Iterable[Group], projects: Iterable[Project], upstreams: Iterable[str]) -> Registry:
    return Registry(groups, projects, [Upstream(name, f"https://{name}.example/simple/") for name in upstreams])


@asynccontextmanager
async def open_house(
    data_dir: Path,
    registry: Registry,
    upstreams: Mapping[str, FakeUpstream],
    rules: CacheRules,
    store: MemoryMetadataStore,
    clock: FakeClock,
    neighbours: Neighbours = ALONE,
) -> AsyncIterator[House]:
    clients = dict(upstreams)
    async with open_blob_store(data_dir) as blobs:
        upstream_pages = UpstreamPages(clients, store, rules, clock, neighbours=neighbours)
        wheel_metadata = WheelMetadata(clients, upstream_pages, blobs, store, clock)
        downloads = Downloads(
            clients, blobs, store, clock, on_cached=wheel_metadata.keep_aside, flights=neighbours.flights
        )
        listings = Listings(registry, store, upstream_pages)
        yield House(
            group=registry.groups[0],
            clock=clock,
            store=store,
            blobs=blobs,
            data_dir=data_dir,
            upstreams=clients,
            upstream_pages=upstream_pages,
            wheel_metadata=wheel_metadata,
            downloads=downloads,
            listings=listings,
            pages=Pages(listings, clock),
            files=Files(listings, downloads, wheel_metadata, blobs, store, clients, clock),
            publisher=Publisher(registry, store, blobs, clock, MAX_UPLOAD),
            curator=Curator(store),
        )
        await downloads.close()
        await wheel_metadata.close()
        await upstream_pages.close()


def named(file: File) -> tuple[Sha256, Filename]:
    """What the path of a file names."""
    return file.sha256, Filename(file.filename)


def of_pypi(file: File, project: ProjectName = DEMO) -> UpstreamFile:
    return UpstreamFile("pypi", project, file)


def form_of(built: BuiltFile, **fields: str) -> UploadForm:
    """The form that a client would send with a file; `fields` are further ones, or replace those of the name."""
    distribution = parse_distribution(Filename(built.filename))
    told = {"name": distribution.project, "version": str(distribution.version), **fields}
    return UploadForm({field: (value,) for field, value in told.items()}, built.filename)


async def upload(
    house: House, built: BuiltFile, *, project: Project = PACKAGES, caller: Principal = PUBLISHER, **fields: str
) -> LocalFile:
    """Publish a file with a form that fits it."""
    return await send(house, built, form_of(built, **fields), project=project, caller=caller)


async def send(
    house: House,
    built: BuiltFile,
    form: UploadForm,
    *,
    project: Project = PACKAGES,
    caller: Principal = PUBLISHER,
) -> LocalFile:
    """Upload a file as a client does."""
    async with house.publisher.receive(caller, project) as received:
        await received.write(built.data)
        return await house.publisher.publish(received, form)


async def cache(house: House, file: File, project: ProjectName = DEMO) -> None:
    """Fetch a file of pypi into the cache, to the end of all that follows from it."""
    async with house.downloads.open(of_pypi(file, project)) as opened:
        if isinstance(opened, Download):
            async for _ in opened.follow():
                pass
    await until(lambda: house.idle)
