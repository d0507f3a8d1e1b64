"""Publishing: what is refused leaves nothing behind, what is accepted is durable before it exists."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.core.access import Anonymous, Kind, Principal, Role, Scope, anonymous
from proxy.core.digests import Digests, FullHasher, Sha256, sha256_of
from proxy.core.errors import (
    FileTooLarge,
    Forbidden,
    Gone,
    InvalidUpload,
    LacksScope,
    MissingFields,
    NameTaken,
    NotFound,
    SidecarError,
    StorageFull,
    StorageTrouble,
    Unauthorized,
)
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import GroupPath
from proxy.core.registry import Duplicates, Project, Protection, Visibility
from proxy.core.rules import parse_name_pattern
from proxy.core.upload import UploadForm
from tests.builders import BuiltFile, build_sdist, build_wheel
from tests.services.house import (
    ACME,
    DEMO,
    MAX_UPLOAD,
    PACKAGES,
    PUBLISHER,
    READER,
    House,
    MakeHouse,
    form_of,
    send,
    upload,
)

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.core.local import LocalFile, NewFile
    from proxy.core.registry import Group

WHEEL = build_wheel("demo", "1.0", requires_python=">=3.9")
SDIST = build_sdist("demo", "1.0")
SECRET = Project(2, GroupPath("acme/secret"), ACME.path, Visibility.PRIVATE)
WRITES = frozenset({Scope.WRITE_PACKAGE_REGISTRY})
ATTESTATIONS = '[{"version": 1, "verification_material": {}, "envelope": {}}]'


def member(role: Role, scopes: frozenset[Scope] = WRITES, kind: Kind = Kind.PERSONAL) -> Principal:
    return Principal(kind, "ci", scopes=scopes, grants={ACME.path: role})


def digests_of(data: bytes) -> Digests:
    hasher = FullHasher()
    hasher.update(data)
    return hasher.digests()


def assert_nothing_is_left(house: House) -> None:
    assert (house.parts(), house.stored(), house.store.files, house.store.claims) == ([], set(), [], set())


class TestAccepted:
    async def test_nobody_removes_its_blobs_before_the_row_that_names_them_is_in(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish, removed = house.store.publish, []

        async def publish_slowly(file: NewFile, *, root: int, now: datetime) -> LocalFile:
            removed.extend([await house.blobs.delete(Sha256(sha256)) for sha256 in house.stored()])
            return await publish(file, root=root, now=now)

        monkeypatch.setattr(house.store, "publish", publish_slowly)
        await upload(house, WHEEL)
        assert removed == [False, False]
        assert house.stored() == {WHEEL.sha256, sha256_of(WHEEL.metadata)}

    async def test_a_wheel_exists_with_its_metadata(self, house: House) -> None:
        published = await upload(house, WHEEL, caller=member(Role.DEVELOPER))
        assert published.digests == digests_of(WHEEL.data)
        assert published.core_metadata == sha256_of(WHEEL.metadata)
        assert published.uploaded_at == house.clock.now()
        assert (published.published_by, published.requires_python) == ("ci", ">=3.9")
        assert house.stored() == {WHEEL.sha256, sha256_of(WHEEL.metadata)}
        assert house.parts() == []
        assert house.store.files == [published]
        assert house.store.claims == {(ACME.id, DEMO)}

    async def test_of_an_sdist_no_metadata_is_kept(self, house: House) -> None:
        published = await upload(house, SDIST)
        assert published.core_metadata is None
        assert house.stored() == {SDIST.sha256}

    async def test_a_new_file_of_a_known_version_is_welcome(self, house: House) -> None:
        wheel, sdist = await upload(house, WHEEL), await upload(house, SDIST)
        assert wheel.release_id == sdist.release_id

    async def test_the_claim_is_the_top_level_groups(self, make_house: MakeHouse) -> None:
        below: Group = replace(ACME, id=7, path=GroupPath("acme/ml"))
        models = Project(3, GroupPath("acme/ml/models"), below.path)
        house = await make_house(ACME, below, projects=[models])
        await upload(house, WHEEL, project=models)
        assert house.store.claims == {(ACME.id, DEMO)}

    async def test_attestations_are_kept_as_they_came_and_malformed_ones_dropped(self, house: House) -> None:
        with_them = await upload(house, WHEEL, attestations=ATTESTATIONS)
        without = await upload(house, SDIST, attestations="[{]")
        assert (with_them.has_provenance, without.has_provenance) == (True, False)
        assert await house.store.find_attestations(with_them.id) == ATTESTATIONS

    async def test_right_digests_are_right(self, house: House) -> None:
        digests = digests_of(WHEEL.data)
        await upload(
            house,
            WHEEL,
            sha256_digest=digests.sha256.upper(),
            md5_digest=digests.md5,
            blake2_256_digest=digests.blake2b,
        )
        assert len(house.store.files) == 1

    async def test_a_file_may_come_in_pieces_up_to_the_limit(self, house: House) -> None:
        whole = build_sdist("demo", "1.0", size_padding=MAX_UPLOAD - 10_000)
        async with house.publisher.receive(PUBLISHER, PACKAGES) as received:
            for start in range(0, len(whole.data), 1000):
                await received.write(whole.data[start : start + 1000])
            await house.publisher.publish(received, form_of(whole))
        assert house.stored() == {whole.sha256}

    @pytest.mark.parametrize("status", [Status.ACTIVE, Status.DEPRECATED])
    async def test_a_project_that_is_not_closed_takes_uploads(self, house: House, status: Status) -> None:
        await house.store.save_status(PACKAGES.id, DEMO, ProjectStatus(status))
        await upload(house, WHEEL)

    async def test_twenty_versions_at_once_all_arrive(self, house: House) -> None:
        await asyncio.gather(*(upload(house, build_wheel("demo", f"1.{number}")) for number in range(20)))
        assert len({file.release_id for file in house.store.files}) == 20
        assert house.parts() == []


class TestAccess:
    @pytest.mark.parametrize(
        ("caller", "error"),
        [
            (READER, Unauthorized),
            (anonymous(Anonymous.NONE), Unauthorized),
            (member(Role.REPORTER), Forbidden),
            (member(Role.OWNER, frozenset({Scope.READ_API})), LacksScope),
        ],
    )
    async def test_who_may_not_publish_sends_nothing(
        self, house: House, caller: Principal, error: type[SidecarError]
    ) -> None:
        with pytest.raises(error):
            house.publisher.authorize(caller, PACKAGES)
        with pytest.raises(error):
            await upload(house, WHEEL, caller=caller)
        assert_nothing_is_left(house)

    async def test_a_private_project_is_not_there_for_strangers(self, make_house: MakeHouse) -> None:
        house = await make_house(projects=[SECRET])
        stranger = Principal(Kind.PERSONAL, "stranger", scopes=WRITES)
        with pytest.raises(NotFound):
            await upload(house, WHEEL, project=SECRET, caller=stranger)
        with pytest.raises(Unauthorized):
            await upload(house, WHEEL, project=SECRET)
        assert_nothing_is_left(house)

    @pytest.mark.parametrize(
        ("caller", "allowed"),
        [
            (member(Role.DEVELOPER), False),
            (member(Role.MAINTAINER), True),
            (member(Role.MAINTAINER, kind=Kind.DEPLOY), False),
            (member(Role.ADMIN), True),
            (PUBLISHER, False),
        ],
    )
    async def test_a_protected_name_needs_its_role(
        self, make_house: MakeHouse, caller: Principal, *, allowed: bool
    ) -> None:
        rule = Protection(parse_name_pattern("dem*"), push="maintainer")
        project = replace(PACKAGES, protection=(rule,))
        house = await make_house(projects=[project])
        if allowed:
            await upload(house, WHEEL, project=project, caller=caller)
            return
        with pytest.raises(Forbidden, match="Package protected"):
            await upload(house, WHEEL, project=project, caller=caller)
        assert_nothing_is_left(house)

    @pytest.mark.parametrize("status", [Status.ARCHIVED, Status.QUARANTINED])
    async def test_a_closed_project_takes_no_uploads(self, house: House, status: Status) -> None:
        await house.store.save_status(PACKAGES.id, DEMO, ProjectStatus(status))
        with pytest.raises(Forbidden, match=f"Project is {status}"):
            await upload(house, WHEEL)
        assert_nothing_is_left(house)


class TestRefused:
    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({":action": "remove_pkg"}, Gone),
            ({"protocol_version": "2"}, InvalidUpload),
            ({"name": "six"}, InvalidUpload),
            ({"name": " "}, MissingFields),
            ({"version": "2.0"}, InvalidUpload),
            ({"filetype": "sdist"}, InvalidUpload),
            ({"sha256_digest": "0" * 64}, InvalidUpload),
            ({"md5_digest": "0" * 32}, InvalidUpload),
            ({"blake2_256_digest": "0" * 64}, InvalidUpload),
            ({"sha256_digest": "x"}, InvalidUpload),
        ],
        ids=str,
    )
    async def test_a_form_that_does_not_agree_with_the_file(
        self, house: House, fields: dict[str, str], error: type[SidecarError]
    ) -> None:
        with pytest.raises(error):
            await send(house, WHEEL, form_of(WHEEL, **fields))
        assert_nothing_is_left(house)

    @pytest.mark.parametrize(
        "built",
        [
            replace(WHEEL, data=b"no zip at all"),
            replace(WHEEL, data=b""),
            replace(WHEEL, data=WHEEL.data[:-1]),
            replace(WHEEL, data=build_wheel("demo", "2.0").data),
            replace(SDIST, data=WHEEL.data),
            replace(SDIST, data=SDIST.data[:-10]),
            replace(WHEEL, data=build_wheel("demo", "1.0", extra_members={"../../evil": b""}).data),
        ],
        ids=["no archive", "empty", "cut wheel", "other version", "other format", "cut sdist", "unsafe path"],
    )
    async def test_a_file_that_is_not_what_it_says(self, house: House, built: BuiltFile) -> None:
        with pytest.raises(InvalidUpload):
            await upload(house, built)
        assert_nothing_is_left(house)

    @pytest.mark.parametrize("size", [MAX_UPLOAD + 1, MAX_UPLOAD * 2])
    async def test_a_file_over_the_limit(self, house: House, size: int) -> None:
        async with house.publisher.receive(PUBLISHER, PACKAGES) as received:
            with pytest.raises(FileTooLarge, match="File is too large"):
                await received.write(bytes(size))
            assert received.part.size == 0
        assert_nothing_is_left(house)

    async def test_a_file_that_grows_over_the_limit(self, house: House) -> None:
        async with house.publisher.receive(PUBLISHER, PACKAGES) as received:
            await received.write(bytes(MAX_UPLOAD))
            with pytest.raises(FileTooLarge):
                await received.write(b"x")
        assert_nothing_is_left(house)

    async def test_one_that_is_given_up(self, house: House) -> None:
        with suppress(ConnectionResetError):
            async with house.publisher.receive(PUBLISHER, PACKAGES) as received:
                await received.write(WHEEL.data)
                raise ConnectionResetError
        assert_nothing_is_left(house)

    async def test_one_that_is_cancelled(self, house: House) -> None:
        written = asyncio.Event()

        async def sender() -> None:
            async with house.publisher.receive(PUBLISHER, PACKAGES) as received:
                await received.write(WHEEL.data)
                written.set()
                await asyncio.Event().wait()

        sending = asyncio.create_task(sender())
        await written.wait()
        assert len(house.parts()) == 1
        sending.cancel()
        await asyncio.wait([sending])
        assert_nothing_is_left(house)

    async def test_one_without_a_file_name(self, house: House) -> None:
        async with house.publisher.receive(PUBLISHER, PACKAGES) as received:
            await received.write(WHEEL.data)
            with pytest.raises(InvalidUpload):
                await house.publisher.publish(received, UploadForm({"name": ("demo",), "version": ("1.0",)}))
        assert_nothing_is_left(house)


class TestDuplicates:
    IDENTICAL = replace(PACKAGES, duplicates=Duplicates.IDENTICAL)

    @pytest.fixture
    async def lenient(self, make_house: MakeHouse) -> House:
        return await make_house(projects=[self.IDENTICAL])

    @pytest.mark.parametrize("data", [WHEEL.data, build_wheel("demo", "1.0", description="other").data])
    async def test_a_file_name_is_taken_once(self, house: House, data: bytes) -> None:
        first = await upload(house, WHEEL)
        kept = house.stored()
        with pytest.raises(NameTaken, match=r"^Validation failed: File name has already been taken$"):
            await upload(house, replace(WHEEL, data=data))
        assert (house.store.files, house.stored(), house.parts()) == ([first], kept, [])

    async def test_where_the_project_says_so_the_same_bytes_are_no_fault(self, lenient: House) -> None:
        first = await upload(lenient, WHEEL, project=self.IDENTICAL)
        assert await upload(lenient, WHEEL, project=self.IDENTICAL) == first
        other = build_wheel("demo", "1.0", description="other")
        with pytest.raises(NameTaken):
            await upload(lenient, other, project=self.IDENTICAL)
        assert (lenient.store.files, lenient.parts()) == ([first], [])

    async def test_the_same_bytes_bring_back_what_was_lost(self, lenient: House) -> None:
        first = await upload(lenient, WHEEL, project=self.IDENTICAL)
        kept = lenient.stored()
        for sha256 in kept:
            assert await lenient.blobs.delete(Sha256(sha256))
        assert await upload(lenient, WHEEL, project=self.IDENTICAL) == first
        assert lenient.stored() == kept

    async def test_other_projects_are_apart(self, make_house: MakeHouse) -> None:
        tools = Project(2, GroupPath("acme/tools"), ACME.path)
        house = await make_house(projects=[PACKAGES, tools])
        await upload(house, WHEEL)
        await upload(house, WHEEL, project=tools)
        assert [file.project_id for file in house.store.files] == [1, 2]

    async def test_of_two_at_once_one_wins(self, house: House) -> None:
        outcomes = await asyncio.gather(*(upload(house, WHEEL) for _ in range(5)), return_exceptions=True)
        assert sorted(isinstance(one, NameTaken) for one in outcomes) == [False, True, True, True, True]
        assert (len(house.store.files), house.parts()) == (1, [])
        assert house.stored() == {WHEEL.sha256, sha256_of(WHEEL.metadata)}

    async def test_of_two_identical_ones_at_once_both_are_answered_well(self, lenient: House) -> None:
        outcomes = await asyncio.gather(*(upload(lenient, WHEEL, project=self.IDENTICAL) for _ in range(5)))
        assert {file.id for file in outcomes} == {1}
        assert len(lenient.store.files) == 1


class TestStorage:
    async def test_without_space_for_the_file_nothing_is_left(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def commit(_: object) -> None:
            raise StorageFull("no space left")

        monkeypatch.setattr("proxy.disk.parts.DiskPart.commit", commit)
        with pytest.raises(StorageFull):
            await upload(house, WHEEL)
        assert_nothing_is_left(house)

    async def test_file_and_metadata_are_durable_before_the_row(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        durable: list[set[str]] = []

        async def publish(*_: object, **__: object) -> None:
            durable.append(house.stored())
            raise StorageFull("no space left for the row")

        monkeypatch.setattr(house.store, "publish", publish)
        with pytest.raises(StorageFull):
            await upload(house, WHEEL)
        assert durable == [{WHEEL.sha256, sha256_of(WHEEL.metadata)}]
        assert (house.store.files, house.parts()) == ([], [])

    async def test_a_part_that_cannot_be_read_is_trouble(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        def read_archive(*_: object) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("proxy.services.publish.read_archive", read_archive)
        with pytest.raises(StorageTrouble, match="cannot be read"):
            await upload(house, WHEEL)
        assert_nothing_is_left(house)
