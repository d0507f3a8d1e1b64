"""Laws of the upload form: any fields give a value or InvalidUpload, and the value can be stored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from proxy.core.archive import ArchiveMetadata
from proxy.core.digests import Digests, Sha256
from proxy.core.distributions import version_of
from proxy.core.errors import InvalidUpload
from proxy.core.names import parse_filename, parse_project_name
from proxy.core.upload import UploadForm, check_form, validate

DIGESTS = Digests(Sha256("a" * 64), "b" * 64, "c" * 32, 1)
DECIDING = [":action", "protocol_version", "name", "version", "filetype", "requires_python", "sha256_digest"]
DESCRIBING = ["metadata_version", "author_email", "summary", "description", "description_content_type", "keywords"]

texts = st.text(st.characters(exclude_categories=()), max_size=300)
hints = st.sampled_from(
    ["", "1", "file_upload", "demo", "Demo", "1.0", "v1", "UNKNOWN", "sdist", "a" * 64, "\0", "\n"]
)
values = st.lists(hints | texts, min_size=1, max_size=3).map(tuple)
forms = st.builds(
    UploadForm,
    st.dictionaries(st.sampled_from([*DECIDING, *DESCRIBING, "attestations", "content", "unheard_of"]), values),
    st.none() | texts | st.sampled_from(["demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl", "../demo-1.0.zip"]),
)


@given(forms)
def test_any_form_is_accepted_or_refused(form: UploadForm) -> None:
    try:
        check_form(form)
    except InvalidUpload as error:
        message = error.message
        assert message.isascii()
        assert message.isprintable()


@given(
    st.dictionaries(st.sampled_from([*DESCRIBING, "attestations", "unheard_of"]), values),
    st.sampled_from(["demo-1.0.tar.gz", "DEMO-1.0.ZIP", "demo-1.0-py3-none-any.whl"]),
    st.sampled_from(["1.0", "v1", "1.0.0"]),
)
def test_describing_fields_never_fail_an_upload(
    fields: dict[str, tuple[str, ...]], filename: str, version: str
) -> None:
    claimed = check_form(UploadForm(fields | {"name": ("Demo",), "version": (version,)}, filename))
    file = validate(claimed, project_id=1, digests=DIGESTS, metadata=ArchiveMetadata(b"", "demo", "1"))

    assert parse_filename(file.filename) == filename
    assert version_of(file.filename, parse_project_name(file.raw_name)) == Version(file.version)
    for field in DESCRIBING:
        text = getattr(file.metadata, field)
        assert "\0" not in text
        assert len(text.encode()) <= 4 * 4000


@given(st.text(max_size=20), st.text(max_size=20))
def test_an_archive_of_another_name_is_refused(name: str, version: str) -> None:
    claimed = check_form(UploadForm({"name": ("demo",), "version": ("1.0",)}, "demo-1.0.tar.gz"))
    try:
        file = validate(claimed, project_id=1, digests=DIGESTS, metadata=ArchiveMetadata(b"", name, version))
    except InvalidUpload:
        return

    assert parse_project_name(name) == file.name
    assert Version(version) == Version(file.version)
