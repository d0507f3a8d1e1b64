"""Who gets what of GitLab's packages API.

The projects of these tests: `acme/open` and `acme/ml/models` are public, `acme/secret` is private, and so is the group
`vault`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core.access import Anonymous, Kind, Principal, Role, Scope, anonymous
from proxy.core.errors import Forbidden, LacksScope, NotFound, Refused, Unauthorized
from proxy.core.names import GroupPath
from proxy.core.policy import LocalFacts
from proxy.core.registry import Group, Project, Protection, Registry, Visibility
from proxy.core.releases import PackageType, Page, ReleaseQuery
from proxy.core.rules import parse_name_pattern
from proxy.services.packages import Package, PackageList, Packages
from tests.contracts.samples import DEMO, NOW, new_file
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeAlias

    from proxy.core.local import LocalFile

    Refusal: TypeAlias = tuple[type[Refused], str]

PRIVATE = Visibility.PRIVATE
ACME, ML, VAULT = Group(1, GroupPath("acme")), Group(2, GroupPath("acme/ml")), Group(3, GroupPath("vault"), PRIVATE)
RULES = (Protection(parse_name_pattern("core-*"), delete="owner"), Protection(parse_name_pattern("six"), push="owner"))
OPEN = Project(1, GroupPath("acme/open"), ACME.path, protection=RULES)
MODELS = Project(2, GroupPath("acme/ml/models"), ML.path)
SECRET = Project(3, GroupPath("acme/secret"), ACME.path, PRIVATE)
KEYS = Project(4, GroupPath("vault/keys"), VAULT.path, PRIVATE)
REGISTRY = Registry([ACME, ML, VAULT], [OPEN, MODELS, SECRET, KEYS], [])

ANYBODY = anonymous(Anonymous.PUBLISH)
NOBODY = anonymous(Anonymous.NONE)


def known(role: Role | None, *scopes: Scope, kind: Kind = Kind.PERSONAL) -> Principal:
    """A caller with this role in all groups (None: in none)."""
    grants = {group.path: role for group in (ACME, VAULT)} if role else {}
    return Principal(kind, "somebody", scopes=frozenset(scopes or {Scope.API}), grants=grants)


STRANGER = known(None)
MAINTAINER = known(Role.MAINTAINER)


@pytest.fixture
def store() -> MemoryMetadataStore:
    return MemoryMetadataStore()


@pytest.fixture
def packages(store: MemoryMetadataStore) -> Packages:
    return Packages(REGISTRY, store)


async def publish(store: MemoryMetadataStore, project: Project, name: str = "demo", version: str = "1") -> LocalFile:
    root = REGISTRY.root_of(project).id
    return await store.publish(new_file(name, version, project_id=project.id), root=root, now=NOW)


async def refusals(*asked: Awaitable[object]) -> list[Refusal]:
    """What each of these is refused with."""
    told: list[Refusal] = []
    for each in asked:
        with pytest.raises(Refused) as raised:
            await each
        told.append((type(raised.value), raised.value.message))
    return told


class TestReading:
    @pytest.mark.parametrize("caller", [ANYBODY, STRANGER, known(Role.GUEST), known(Role.GUEST, kind=Kind.JOB)])
    async def test_a_public_project_is_read_by_all(
        self, store: MemoryMetadataStore, packages: Packages, caller: Principal
    ) -> None:
        file = await publish(store, OPEN)
        found = await packages.list(caller, OPEN, ReleaseQuery(), Page())
        assert ([each.release.id for each in found.packages], found.total) == ([file.release_id], 1)
        assert (await packages.get(caller, OPEN, file.release_id)).project is OPEN
        assert await packages.list_files(caller, OPEN, file.release_id) == [file]

    @pytest.mark.parametrize(
        ("caller", "expected"),
        [
            (ANYBODY, (NotFound, "404 Project Not Found")),
            (STRANGER, (NotFound, "404 Project Not Found")),
            (NOBODY, (Unauthorized, "401 Unauthorized")),
        ],
    )
    async def test_a_private_project_is_not_there_for_others(
        self, store: MemoryMetadataStore, packages: Packages, caller: Principal, expected: Refusal
    ) -> None:
        file = await publish(store, SECRET)
        assert (
            await refusals(
                packages.list(caller, SECRET, ReleaseQuery(), Page()),
                packages.get(caller, SECRET, file.release_id),
                packages.list_files(caller, SECRET, file.release_id),
            )
            == [expected] * 3
        )

    @pytest.mark.parametrize("caller", [known(Role.GUEST), known(Role.GUEST, Scope.READ_API)])
    async def test_a_private_project_is_read_by_its_members(
        self, store: MemoryMetadataStore, packages: Packages, caller: Principal
    ) -> None:
        file = await publish(store, SECRET)
        assert (await packages.list(caller, SECRET, ReleaseQuery(), Page())).total == 1
        assert (await packages.get(caller, SECRET, file.release_id)).release.id == file.release_id
        assert await packages.list_files(caller, SECRET, file.release_id) == [file]

    async def test_a_public_project_asks_for_a_login_where_nobody_is_anonymous(self, packages: Packages) -> None:
        with pytest.raises(Unauthorized):
            await packages.list(NOBODY, OPEN, ReleaseQuery(), Page())

    async def test_deploy_tokens_are_not_taken(self, packages: Packages) -> None:
        deploy = known(Role.OWNER, Scope.READ_PACKAGE_REGISTRY, kind=Kind.DEPLOY)
        with pytest.raises(Unauthorized, match="use a personal or a job token"):
            await packages.list(deploy, OPEN, ReleaseQuery(), Page())
        with pytest.raises(Unauthorized):
            await packages.delete(deploy, OPEN, 1)

    async def test_a_token_without_the_scope_is_told_so(self, packages: Packages) -> None:
        nothing = Principal(Kind.PERSONAL, grants={ACME.path: Role.OWNER})
        with pytest.raises(LacksScope):
            await packages.list(nothing, OPEN, ReleaseQuery(), Page())

    async def test_a_package_of_another_project_is_not_here(
        self, store: MemoryMetadataStore, packages: Packages
    ) -> None:
        file = await publish(store, SECRET)
        with pytest.raises(NotFound, match="404 Package Not Found"):
            await packages.get(MAINTAINER, OPEN, file.release_id)
        with pytest.raises(NotFound):
            await packages.list_files(MAINTAINER, OPEN, file.release_id)

    async def test_another_type_of_package_exists_nowhere(
        self, store: MemoryMetadataStore, packages: Packages
    ) -> None:
        await publish(store, OPEN)
        query = ReleaseQuery(type=PackageType.NPM)
        assert await packages.list(ANYBODY, OPEN, query, Page()) == PackageList((), 0)

    async def test_the_other_versions_are_those_of_the_name(
        self, store: MemoryMetadataStore, packages: Packages
    ) -> None:
        files = [await publish(store, OPEN, version=version) for version in ("1", "2", "3")]
        await publish(store, OPEN, "six")
        package = await packages.get(ANYBODY, OPEN, files[1].release_id)
        assert [version.version for version in await packages.list_versions(package)] == ["1", "3"]


class TestGroups:
    async def listed(
        self, packages: Packages, caller: Principal, group: Group, *, subgroups: bool = True
    ) -> list[int]:
        found = await packages.list(caller, group, ReleaseQuery(), Page(), subgroups=subgroups)
        assert found.total == len(found.packages)
        return [package.project.id for package in found.packages]

    async def test_a_group_shows_the_projects_that_the_caller_may_read(
        self, store: MemoryMetadataStore, packages: Packages
    ) -> None:
        for project in (OPEN, MODELS, SECRET, KEYS):
            await publish(store, project)
        assert await self.listed(packages, ANYBODY, ACME) == [1, 2]
        assert await self.listed(packages, known(Role.GUEST), ACME) == [1, 2, 3]
        assert await self.listed(packages, known(Role.GUEST), VAULT) == [4]

    async def test_subgroups_can_be_left_out(self, store: MemoryMetadataStore, packages: Packages) -> None:
        for project in (OPEN, MODELS, SECRET):
            await publish(store, project)
        assert await self.listed(packages, MAINTAINER, ACME, subgroups=False) == [1, 3]
        assert await self.listed(packages, MAINTAINER, ML, subgroups=False) == [2]

    @pytest.mark.parametrize("caller", [ANYBODY, STRANGER])
    async def test_a_private_group_is_not_there_for_others(self, packages: Packages, caller: Principal) -> None:
        with pytest.raises(NotFound, match="404 Group Not Found"):
            await self.listed(packages, caller, VAULT)


class TestDeleting:
    @pytest.mark.parametrize(
        ("project", "caller", "expected"),
        [
            (OPEN, ANYBODY, (Forbidden, "403 Forbidden")),
            (OPEN, STRANGER, (Forbidden, "403 Forbidden")),
            (OPEN, known(Role.DEVELOPER), (Forbidden, "403 Forbidden")),
            (SECRET, ANYBODY, (NotFound, "404 Project Not Found")),
            (SECRET, STRANGER, (NotFound, "404 Project Not Found")),
            (SECRET, known(Role.DEVELOPER), (Forbidden, "403 Forbidden")),
            (OPEN, NOBODY, (Unauthorized, "401 Unauthorized")),
        ],
    )
    async def test_only_maintainers_delete(
        self,
        store: MemoryMetadataStore,
        packages: Packages,
        project: Project,
        caller: Principal,
        expected: Refusal,
    ) -> None:
        file = await publish(store, project)
        assert (
            await refusals(
                packages.delete(caller, project, file.release_id),
                packages.delete_file(caller, project, file.release_id, file.id),
                packages.delete(caller, project, 99),
            )
            == [expected] * 3
        )
        assert await store.list_files([project.id], DEMO) == [file]

    async def test_a_token_that_may_only_read_lacks_the_scope(
        self, store: MemoryMetadataStore, packages: Packages
    ) -> None:
        file = await publish(store, OPEN)
        with pytest.raises(LacksScope):
            await packages.delete(known(Role.OWNER, Scope.READ_API), OPEN, file.release_id)

    @pytest.mark.parametrize("caller", [MAINTAINER, known(Role.MAINTAINER, kind=Kind.JOB), known(Role.ADMIN)])
    async def test_a_deleted_package_is_gone_and_its_name_stays_local(
        self, store: MemoryMetadataStore, packages: Packages, caller: Principal
    ) -> None:
        file = await publish(store, SECRET)
        await packages.delete(caller, SECRET, file.release_id)
        assert await store.find_facts(ACME.id, [SECRET.id], DEMO) == LocalFacts(claimed=True)
        with pytest.raises(NotFound, match="404 Package Not Found"):
            await packages.delete(caller, SECRET, file.release_id)

    async def test_the_last_file_takes_the_package_along(self, store: MemoryMetadataStore, packages: Packages) -> None:
        file = await publish(store, OPEN)
        with pytest.raises(NotFound, match="404 Not Found"):
            await packages.delete_file(MAINTAINER, OPEN, file.release_id, file.id + 1)
        await packages.delete_file(MAINTAINER, OPEN, file.release_id, file.id)
        with pytest.raises(NotFound, match="404 Package Not Found"):
            await packages.get(MAINTAINER, OPEN, file.release_id)

    async def test_a_file_of_another_package_is_left_alone(
        self, store: MemoryMetadataStore, packages: Packages
    ) -> None:
        one, two = await publish(store, OPEN), await publish(store, OPEN, version="2")
        with pytest.raises(NotFound):
            await packages.delete_file(MAINTAINER, OPEN, one.release_id, two.id)
        assert len(await store.list_files([OPEN.id], DEMO)) == 2

    @pytest.mark.parametrize(
        ("role", "name", "allowed"),
        [
            (Role.MAINTAINER, "core-lib", False),
            (Role.MAINTAINER, "Core.Lib", False),
            (Role.OWNER, "core-lib", True),
            (Role.ADMIN, "core-lib", True),
            (Role.MAINTAINER, "six", True),
            (Role.MAINTAINER, "hardcore-lib", True),
        ],
    )
    async def test_a_rule_protects_names(
        self, store: MemoryMetadataStore, packages: Packages, role: Role, name: str, *, allowed: bool
    ) -> None:
        file = await publish(store, OPEN, name)
        package: Package = await packages.get(known(role), OPEN, file.release_id)
        assert package.deletable is allowed
        if allowed:
            await packages.delete(known(role), OPEN, file.release_id)
            return
        assert (
            await refusals(
                packages.delete(known(role), OPEN, file.release_id),
                packages.delete_file(known(role), OPEN, file.release_id, file.id),
                packages.delete_file(known(role), OPEN, file.release_id, 99),
            )
            == [(Forbidden, "403 Forbidden - Package is deletion protected.")] * 3
        )

    async def test_who_may_not_delete_is_not_offered_it(self, store: MemoryMetadataStore, packages: Packages) -> None:
        file = await publish(store, OPEN)
        for caller, deletable in ((ANYBODY, False), (known(Role.DEVELOPER), False), (MAINTAINER, True)):
            assert (await packages.get(caller, OPEN, file.release_id)).deletable is deletable
