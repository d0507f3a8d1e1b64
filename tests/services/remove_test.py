from __future__ import annotations

import pytest
from packaging.version import Version

from proxy.core.distributions import Kind
from proxy.core.errors import NameHeld, NotFound
from proxy.core.names import GroupPath, parse_filename
from proxy.core.policy import LocalFacts
from proxy.core.registry import Group, Project, Registry
from proxy.services.remove import Remover
from tests.contracts.samples import DEMO, NOW, new_file
from tests.fakes.metadata_store import MemoryMetadataStore

ACME, ML = Group(1, GroupPath("acme")), Group(2, GroupPath("acme/ml"))
TOOLS, MODELS = Project(1, GroupPath("acme/tools"), ACME.path), Project(2, GroupPath("acme/ml/models"), ML.path)
REGISTRY = Registry([ACME, ML], [TOOLS, MODELS], [])
ONE = Version("1.0")


@pytest.fixture
def store() -> MemoryMetadataStore:
    return MemoryMetadataStore()


@pytest.fixture
def remover(store: MemoryMetadataStore) -> Remover:
    return Remover(REGISTRY, store)


async def publish(store: MemoryMetadataStore, *specs: str, project: Project = TOOLS, kind: Kind = Kind.WHEEL) -> None:
    for spec in specs:
        name, version = spec.split("==")
        await store.publish(new_file(name, version, project_id=project.id, kind=kind), root=ACME.id, now=NOW)


async def versions(store: MemoryMetadataStore) -> list[str]:
    return [file.version for file in await store.list_files([TOOLS.id, MODELS.id], DEMO)]


async def test_a_version_goes_in_every_spelling(store: MemoryMetadataStore, remover: Remover) -> None:
    await publish(store, "demo==1.0", "Demo==1.0.0", "demo==1.0.1")
    await publish(store, "demo==1", kind=Kind.SDIST)
    assert len(await remover.delete(TOOLS, DEMO, ONE)) == 3
    assert await versions(store) == ["1.0.1"]


async def test_one_file_goes_alone(store: MemoryMetadataStore, remover: Remover) -> None:
    await publish(store, "demo==1.0")
    await publish(store, "demo==1.0", kind=Kind.SDIST)
    [deleted] = await remover.delete(TOOLS, DEMO, ONE, parse_filename("demo-1.0.tar.gz"))
    assert deleted.kind is Kind.SDIST
    assert [file.kind for file in await store.list_files([TOOLS.id], DEMO)] == [Kind.WHEEL]


async def test_other_projects_are_left_alone(store: MemoryMetadataStore, remover: Remover) -> None:
    await publish(store, "demo==1.0", project=MODELS)
    with pytest.raises(NotFound, match=r"acme/tools has no demo 1\.0"):
        await remover.delete(TOOLS, DEMO, ONE)


async def test_what_is_not_there_is_told_by_its_name(store: MemoryMetadataStore, remover: Remover) -> None:
    await publish(store, "demo==1.0")
    with pytest.raises(NotFound, match=r"has no demo 2"):
        await remover.delete(TOOLS, DEMO, Version("2"))
    with pytest.raises(NotFound, match=r"has no demo-9\.zip"):
        await remover.delete(TOOLS, DEMO, ONE, parse_filename("demo-9.zip"))
    assert await versions(store) == ["1.0"]


async def test_a_name_is_released_in_the_whole_top_level_group(store: MemoryMetadataStore, remover: Remover) -> None:
    await publish(store, "demo==1.0")
    await remover.delete(TOOLS, DEMO, ONE)
    assert await store.find_facts(ACME.id, [], DEMO) == LocalFacts(claimed=True)
    assert await remover.release(ML, DEMO) is ACME
    assert await store.find_facts(ACME.id, [], DEMO) == LocalFacts()


async def test_a_name_that_is_held_stays_and_its_holders_are_told(
    store: MemoryMetadataStore, remover: Remover
) -> None:
    await publish(store, "demo==1.0")
    await publish(store, "demo==1.0", project=MODELS)
    with pytest.raises(NameHeld, match="demo still has files in acme/ml/models, acme/tools; delete them first"):
        await remover.release(ACME, DEMO)


async def test_a_name_that_was_never_held_cannot_be_released(remover: Remover) -> None:
    with pytest.raises(NotFound, match="demo was never published in acme"):
        await remover.release(ML, DEMO)
