"""Any value of the model, hostile ones included: what an index may hold and must neither break on nor leak."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from hypothesis import strategies as st
from packaging.version import Version

from proxy.core.errors import InvalidName
from proxy.core.model import File, ProjectDetail, ProjectList, ProjectStatus, Status
from proxy.core.names import ProjectName, parse_filename

HOST = "https://files.example"

hex_digits = st.text("0123456789abcdef", min_size=64, max_size=64)
project_names = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+){0,3}", fullmatch=True).map(ProjectName)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds

_breakouts = st.sampled_from(
    [
        '"><script>alert(1)</script>',
        "' onmouseover='alert(1)",
        "</a></body><a href=x>",
        "<!-- --><![CDATA[ ]]>",
        "&lt;&amp;&#10;&copy;&copy",
        ">=3.8,<4",
        "line\r\nbreak\n\ttab",
        "nul\0\x01\x1b\x7f\x85\u2028\ufeff\uffff",
        "\N{RIGHT-TO-LEFT OVERRIDE}exe.lhw",
    ]
)
hostile_texts = st.one_of(
    _breakouts, st.text(min_size=1, max_size=20), st.builds("{}{}".format, st.text(), _breakouts)
)


@st.composite
def versions(draw: st.DrawFn) -> str:
    """Versions as packaging writes them."""
    release = ".".join(map(str, draw(st.lists(st.integers(0, 3000), min_size=1, max_size=4))))
    epoch = draw(st.sampled_from(["", "1!"]))
    suffix = draw(st.sampled_from(["", "a1", "rc2", ".post3", ".dev4", "+cu121", "+local.7"]))
    return str(Version(f"{epoch}{release}{suffix}"))


@st.composite
def distribution_filenames(draw: st.DrawFn, name: ProjectName, version: str) -> str:
    escaped = name.replace("-", "_")
    return draw(
        st.sampled_from(
            [
                f"{escaped}-{version}-py3-none-any.whl",
                f"{escaped}-{version}-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                f"{escaped}-{version}.tar.gz",
                f"{name}-{version}.zip",
                f"{name}-{version}-py2.7.egg",
            ]
        )
    )


def _is_filename(text: str) -> bool:
    try:
        parse_filename(text)
    except InvalidName:
        return False
    return True


# Without a dash no version can be read out of them.
odd_filenames = (
    st.text(st.characters(exclude_characters="-"), min_size=1, max_size=12).map("{}.json".format).filter(_is_filename)
)


@st.composite
def promises(draw: st.DrawFn) -> bool | dict[str, str]:
    """What a file says of its core metadata."""
    return draw(
        st.one_of(st.booleans(), st.fixed_dictionaries({"sha256": hex_digits}, optional={"blake2b": hex_digits}))
    )


@st.composite
def files(draw: st.DrawFn, filename: str) -> File:
    """An upstream's file of this name."""
    place = f"{HOST}/{quote(filename, safe='')}"
    return File(
        filename=filename,
        url=place,
        hashes=draw(st.fixed_dictionaries({"sha256": hex_digits}, optional={"md5": hex_digits.map(lambda d: d[:32])})),
        size=draw(st.none() | st.integers(0, 2**63 - 1)),
        requires_python=draw(st.none() | st.just(">=3.9,<4") | hostile_texts),
        upload_time=draw(st.none() | moments),
        yanked=draw(st.booleans() | hostile_texts),
        core_metadata=draw(promises()),
        provenance=draw(st.sampled_from([None, f"{place}/provenance"])),
    )


statuses = st.builds(
    ProjectStatus,
    status=st.sampled_from([status for status in Status if status is not Status.QUARANTINED]),
    reason=st.none() | hostile_texts,
)


@st.composite
def details(draw: st.DrawFn) -> ProjectDetail:
    """A page as the parser makes it: versions in order, each once, all files covered."""
    name = draw(project_names)
    known = {Version(text): text for text in draw(st.lists(versions(), max_size=4))}
    texts = [known[version] for version in sorted(known)]
    named = [draw(distribution_filenames(name, text)) for text in texts if draw(st.booleans())]
    filenames = dict.fromkeys([*named, *draw(st.lists(odd_filenames, max_size=2))])
    return ProjectDetail(
        name=name,
        files=tuple(draw(files(filename)) for filename in filenames),
        versions=tuple(texts),
        status=draw(statuses),
    )


project_lists = st.sets(project_names, max_size=5).map(lambda names: ProjectList(tuple(sorted(names))))
