from __future__ import annotations

import io

import pytest

from proxy.core.archive import ArchiveMetadata, read_archive
from proxy.core.digests import Digests, FullHasher, sha256_of
from proxy.core.distributions import Kind
from proxy.core.errors import Gone, InvalidFields, InvalidUpload, MissingFields
from proxy.core.local import NewFile, ReleaseMetadata
from proxy.core.names import Filename, ProjectName
from proxy.core.upload import Claimed, UploadForm, check_form, validate
from tests.builders import BuiltFile, build_sdist, build_wheel

WHEEL_NAME = "demo-1.0-py3-none-any.whl"
METADATA = ArchiveMetadata(b"Name: demo\nVersion: 1.0\n", "demo", "1.0")
ATTESTATION = '{"version": 1, "verification_material": {"certificate": "x"}, "envelope": {"statement": "y"}}'


def form(filename: str | None = WHEEL_NAME, /, **fields: str | tuple[str, ...]) -> UploadForm:
    """The form of a wheel `demo` 1.0; `fields` replace its own, an empty tuple removes one."""
    given = {":action": "file_upload", "protocol_version": "1", "name": "demo", "version": "1.0"} | fields
    return UploadForm({key: (value,) if isinstance(value, str) else value for key, value in given.items()}, filename)


def digests_of(data: bytes) -> Digests:
    hasher = FullHasher()
    hasher.update(data)
    return hasher.digests()


def published(claimed: Claimed, metadata: ArchiveMetadata = METADATA, data: bytes = b"wheel") -> NewFile:
    return validate(claimed, project_id=1, digests=digests_of(data), metadata=metadata)


def upload(built: BuiltFile, kind: Kind, **fields: str | tuple[str, ...]) -> NewFile:
    """What is published of a real file, sent with these fields."""
    claimed = check_form(form(built.filename, **fields))
    metadata = read_archive(io.BytesIO(built.data), Filename(built.filename), kind)
    return validate(claimed, project_id=7, digests=digests_of(built.data), metadata=metadata, published_by="ann")


def test_a_wheel_is_published_as_its_form_and_its_bytes_say() -> None:
    built = build_wheel("My.Pkg", "1.0", requires_python=">=3.9")

    file = upload(
        built,
        Kind.WHEEL,
        name="My.Pkg",
        version="v1.0",
        filetype="bdist_wheel",
        pyversion="py3",
        sha256_digest=built.sha256.upper(),
        summary="A demo",
        metadata_version="2.3",
        description_content_type="text/markdown",
        classifiers=("A", "B"),
    )

    assert file == NewFile(
        project_id=7,
        name=ProjectName("my-pkg"),
        raw_name="My.Pkg",
        version="v1.0",
        filename=Filename("my_pkg-1.0-py3-none-any.whl"),
        kind=Kind.WHEEL,
        digests=digests_of(built.data),
        requires_python=">=3.9",
        core_metadata=sha256_of(built.metadata),
        metadata=ReleaseMetadata(summary="A demo", metadata_version="2.3", description_content_type="text/markdown"),
        published_by="ann",
    )


def test_an_sdist_offers_no_core_metadata() -> None:
    built = build_sdist("my-pkg", "1.0")

    file = upload(built, Kind.SDIST, name="my-pkg", filetype="sdist")

    assert (file.kind, file.core_metadata, file.requires_python) == (Kind.SDIST, None, "")


def test_action_and_protocol_version_may_be_absent() -> None:
    assert check_form(form(**{":action": (), "protocol_version": ()})).name == "demo"


@pytest.mark.parametrize("action", ["submit", "doc_upload", "FILE_UPLOAD"])
def test_other_actions_are_gone(action: str) -> None:
    with pytest.raises(Gone):
        check_form(form(name=(), **{":action": action}))


@pytest.mark.parametrize("version", ["2", "1.0"])
def test_other_protocols_are_refused(version: str) -> None:
    with pytest.raises(InvalidUpload, match="protocol_version"):
        check_form(form(protocol_version=version))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (UploadForm({}), "content is missing, name is missing, version is missing"),
        (form(None), "content is missing"),
        (form(name=()), "name is missing"),
        (form(name=" "), "name is missing"),
        (form(name="UNKNOWN", version="UNKNOWN"), "name is missing, version is missing"),
    ],
)
def test_missing_fields_are_named_as_gitlab_does(bad: UploadForm, message: str) -> None:
    with pytest.raises(MissingFields) as caught:
        check_form(bad)

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (form(None, content="text"), "content is invalid"),
        (form(""), "content is invalid"),
        (form(sha256_digest="%" * 64), "sha256_digest is invalid"),
        (form(sha256_digest="a" * 63), "sha256_digest is invalid"),
        (form(md5_digest="a" * 64), "md5_digest is invalid"),
        (form(blake2_256_digest="a" * 64 + "\n"), "blake2_256_digest is invalid"),
        (form(name=("demo", "other")), "name is invalid"),
        (form(version=("1.0", "1.1")), "version is invalid"),
        (form(sha256_digest=("a" * 64, "b" * 64)), "sha256_digest is invalid"),
        (form(**{":action": ("file_upload", "submit")}), ":action is invalid"),
    ],
)
@pytest.mark.gitlab(18)
def test_fields_that_break_the_grammar_are_named_as_gitlab_does(bad: UploadForm, message: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        check_form(bad)

    assert caught.value.message == message
    assert not isinstance(caught.value, MissingFields)


def test_a_field_may_repeat_itself() -> None:
    assert check_form(form(name=("demo", "demo", "UNKNOWN", ""))).raw_name == "demo"


@pytest.mark.parametrize("name", [".$/@!^*", "-demo", "demo-", "dé", "a" * 201, "@scope/demo", " demo", "demo\r\n"])
@pytest.mark.gitlab(18)
def test_a_name_must_be_valid(name: str) -> None:
    with pytest.raises(InvalidUpload, match=r"^Validation failed: Name is invalid$"):
        check_form(form(name=name))


@pytest.mark.parametrize("version", ["1.0", "v1.0", "V1", "1!2.0", "1.0a1", "1.0.POST1", "1.0.dev3+cu121", "1.0-1"])
def test_a_version_may_have_any_form_of_pep_440(version: str) -> None:
    filename = f"demo-{version.removeprefix('v').removeprefix('V')}.tar.gz"

    assert check_form(form(filename, version=version)).version == version


@pytest.mark.parametrize(
    "version", ["one", "1.0 ", "1.0\n", "1..0", "1.0/..", "1.0-", "1.0po\u017ft1", "1" * 256, "1" * 5000]
)
def test_a_version_must_be_valid(version: str) -> None:
    with pytest.raises(InvalidUpload, match=r"^Validation failed: Version is invalid$"):
        check_form(form(version=version))


@pytest.mark.parametrize(
    ("name", "version", "filename"),
    [
        ("my.pkg", "1.0", "my_pkg-1.0-py3-none-any.whl"),
        ("My_Pkg", "1.0", "my.pkg-1.0.0-py3-none-any.whl"),
        ("demo", "1.0+cu121", "demo-1.0+cu121-cp311-cp311-linux_x86_64.whl"),
        ("demo", "1!2.0", "demo-1!2.0-1-py3-none-any.whl"),
        ("my.pkg", "1.0", "my_pkg-1.0.tar.gz"),
        ("my.pkg", "1.0", "My-Pkg-1.0.tar.gz"),
        ("my.pkg", "1.0", "my.pkg-1.0.zip"),
        ("my.pkg", "1.0", "my.pkg-1.0.ZIP"),
        ("my.pkg", "1.0", "my.pkg-1.0.tgz"),
        ("my.pkg", "1.0", "my.pkg-1.0.tar.bz2"),
        ("my.pkg", "1.0", "my.pkg-1.0.tar.xz"),
        ("mercurial", "3.3rc0", "mercurial-3.3-rc.tar.gz"),
        ("zope.interface", "8.4.1a1", "zope.interface-8.4.1a1.tar.gz"),
        ("demo", "1.0.post1", "demo-1.0-1.tar.gz"),
    ],
)
def test_a_file_name_may_have_an_older_spelling(name: str, version: str, filename: str) -> None:
    assert check_form(form(filename, name=name, version=version)).filename == filename


@pytest.mark.parametrize(
    ("filename", "message"),
    [
        ("../demo-1.0.tar.gz", "File name is invalid"),
        ("/demo-1.0.tar.gz", "File name is invalid"),
        ("C:\\demo-1.0.tar.gz", "File name is invalid"),
        ("demo-1.0.tar.gz\r\nX: y", "File name is invalid"),
        ("demo-1.0.tar.gz\0", "File name is invalid"),
        ("demo-1.0.whl.metadata", "File name is invalid"),
        ("demo-1.0.tar.gz.asc", "File name is invalid"),
        ("demo", "File name is invalid"),
        ("demo-1.0.exe", "File name is not that of a wheel or sdist"),
        ("demo-1.0-py3.11.egg", "File name is not that of a wheel or sdist"),
        ("demo-1.0.whl", "File name is not that of a wheel or sdist"),
        ("demo.tar.gz", "File name is not that of a wheel or sdist"),
        ("demo-1.0-linux.tar.gz", "File name is not that of a wheel or sdist"),
        ("other-1.0.tar.gz", "File name does not match the name and version"),
        ("demo-1.1.tar.gz", "File name does not match the name and version"),
        ("demo-x-1.0.tar.gz", "File name does not match the name and version"),
        ("demo-1.1-py3-none-any.whl", "File name does not match the name and version"),
        ("other-1.0-py3-none-any.whl", "File name does not match the name and version"),
        ("demo-1.0+local-py3-none-any.whl", "File name does not match the name and version"),
    ],
)
def test_a_file_name_must_be_safe_and_agree_with_the_form(filename: str, message: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        check_form(form(filename))

    assert caught.value.message == f"Validation failed: {message}"


@pytest.mark.parametrize("filetype", ["sdist", "bdist_egg", "wheel"])
def test_a_filetype_must_agree_with_the_file_name(filetype: str) -> None:
    with pytest.raises(InvalidUpload, match="does not match the filetype"):
        check_form(form(filetype=filetype))


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("metadata_version", 16),
        ("author_email", 2048),
        ("summary", 255),
        ("description", 4000),
        ("description_content_type", 128),
        ("keywords", 1024),
    ],
)
@pytest.mark.gitlab(17)
def test_over_long_texts_are_cut_as_gitlab_cuts_them(field: str, limit: int) -> None:
    whole, longer = "é" * limit, "é" * (limit + 1)

    assert getattr(check_form(form(**{field: whole})).metadata, field) == whole
    assert getattr(check_form(form(**{field: longer})).metadata, field) == "é" * (limit - 3) + "..."


def test_of_repeated_texts_the_last_counts_and_keywords_are_joined() -> None:
    metadata = check_form(form(summary=("first", "last", "UNKNOWN"), keywords=("a", "UNKNOWN", "b"))).metadata

    assert (metadata.summary, metadata.keywords) == ("last", "a,b")


def test_texts_can_be_stored_and_shown() -> None:
    metadata = check_form(form(summary="a\0b", description="\ud800 c")).metadata

    assert (metadata.summary, metadata.description) == ("a\\x00b", "? c")


@pytest.mark.parametrize(
    ("given", "of_archive", "expected"),
    [
        (">=3.9", ">=3.8", ">=3.9"),
        ((), ">=3.8", ">=3.8"),
        ("", ">=3.8", ">=3.8"),
        ("UNKNOWN", "", ""),
        (" >=3.9,\n <4 ", "", ">=3.9, <4"),
        (">=3.9\0", "", ">=3.9\\x00"),
        ("x" * 255, "", "x" * 255),
    ],
)
def test_requires_python_is_the_forms_or_else_the_archives(
    given: str | tuple[str, ...], of_archive: str, expected: str
) -> None:
    metadata = ArchiveMetadata(METADATA.metadata, "demo", "1.0", of_archive)

    assert published(check_form(form(requires_python=given)), metadata).requires_python == expected


def test_requires_python_is_not_cut() -> None:
    with pytest.raises(InvalidUpload, match="Required python is too long"):
        check_form(form(requires_python="x" * 256))
    with pytest.raises(InvalidUpload, match="Required python is too long"):
        published(check_form(form()), ArchiveMetadata(METADATA.metadata, "demo", "1.0", "x" * 256))


@pytest.mark.parametrize("field", ["sha256_digest", "md5_digest", "blake2_256_digest"])
def test_each_digest_given_must_be_the_files(field: str) -> None:
    digests = digests_of(b"wheel")
    right = {"sha256_digest": digests.sha256, "md5_digest": digests.md5, "blake2_256_digest": digests.blake2b}[field]
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")

    assert published(check_form(form(**{field: right.upper()}))).digests == digests
    with pytest.raises(InvalidUpload, match=f"^Validation failed: {field} does not match the file$"):
        published(check_form(form(**{field: wrong})))


@pytest.mark.parametrize(("name", "version"), [("Demo", "1.0"), ("demo", "1.0.0"), ("demo", "v1.0"), ("DEMO", "1.0")])
def test_the_archive_may_spell_name_and_version_otherwise(name: str, version: str) -> None:
    assert published(check_form(form()), ArchiveMetadata(b"", name, version)).version == "1.0"


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("other", "1.0", "the file says it is 'other 1.0'"),
        ("demo", "1.1", "the file says it is 'demo 1.1'"),
        ("demo", "1.0+local", "the file says it is 'demo 1.0+local'"),
        ("de mo", "1.0", "the file's own metadata has an invalid Name or Version"),
        ("demo", "one", "the file's own metadata has an invalid Name or Version"),
        ("demo", "1" * 5000, "the file's own metadata has an invalid Name or Version"),
    ],
)
def test_the_archive_must_agree_with_the_form(name: str, version: str, message: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        published(check_form(form()), ArchiveMetadata(b"", name, version))

    assert caught.value.message == f"Validation failed: {message}"


@pytest.mark.parametrize("text", [f"[{ATTESTATION}]", f" [{ATTESTATION},\n{ATTESTATION}] "])
def test_attestations_are_kept_as_they_were_sent(text: str) -> None:
    assert published(check_form(form(attestations=text))).attestations == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        ATTESTATION,
        "[1]",
        "[{}]",
        f"[{ATTESTATION}",
        f"[{ATTESTATION}, {{}}]",
        f"[{ATTESTATION.replace('1', '2', 1)}]",
        f"[{ATTESTATION.replace('1', 'true', 1)}]",
        f"[{ATTESTATION.replace('envelope', 'other')}]",
        f"[{ATTESTATION.replace('verification_material', 'other')}]",
        '[{"version": 1, "verification_material": [], "envelope": {}}]',
        "[" * 100_000,
        '[{"version": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}]",
        "\ud800",
        (f"[{ATTESTATION}]", f"[{ATTESTATION}]"),
    ],
)
def test_malformed_attestations_are_dropped(text: str | tuple[str, ...]) -> None:
    assert published(check_form(form(attestations=text))).attestations is None
