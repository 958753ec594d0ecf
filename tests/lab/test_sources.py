"""apt's source lists, as people and installers write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyxfrm.lab.errors import LabError
from pyxfrm.lab.sources import (
    Source,
    main_archive,
    parse_deb822,
    parse_one_line,
    read_sources,
    stanza,
)

DEB822 = """\
# what the installer wrote
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
# a comment inside
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://other.example/debian
Suites: bookworm
Components: main
"""

INLINE_KEY = """\
Types: deb
URIs: https://mirror.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEX
 -----END PGP PUBLIC KEY BLOCK-----
"""


def source(uri: str, *suites: str, components: tuple[str, ...] = ("main",)) -> Source:
    return Source(("deb",), (uri,), suites, components)


def test_deb822_stanzas_are_read_and_disabled_ones_are_not() -> None:
    first, second = parse_deb822(DEB822)
    assert first == Source(
        ("deb", "deb-src"),
        ("http://mirror.example/debian",),
        ("bookworm", "bookworm-updates"),
        ("main", "non-free-firmware"),
        (("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg"),),
    )
    assert second.suites == ("bookworm-security",)


def test_field_names_have_no_case() -> None:
    (found,) = parse_deb822("types: deb\nuris: http://m.example/d\nSUITES: sid\ncomponents: main")
    assert found == source("http://m.example/d", "sid")


def test_a_key_block_inside_a_stanza_travels_whole() -> None:
    (found,) = parse_deb822(INLINE_KEY)
    (again,) = parse_deb822(stanza(found, ("forky",)))
    assert again.options == found.options
    assert "mDMEX" in dict(again.options)["Signed-By"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://m.example/debian sid main", source("http://m.example/debian", "sid")),
        (
            "  deb   http://m.example/debian   sid  main contrib # why not",
            source("http://m.example/debian", "sid", components=("main", "contrib")),
        ),
        (
            "deb [arch=amd64 signed-by=/k.gpg check-valid-until=no] http://m.example/d sid main",
            Source(
                ("deb",),
                ("http://m.example/d",),
                ("sid",),
                ("main",),
                (("Signed-By", "/k.gpg"), ("Check-Valid-Until", "no")),
            ),
        ),
        ("# deb http://m.example/debian sid main", None),
        ("deb http://m.example/debian", None),
        ("", None),
    ],
)
def test_one_line_entries(line: str, expected: Source | None) -> None:
    assert list(parse_one_line(line)) == ([expected] if expected else [])


def test_both_formats_are_read_from_where_apt_reads_them(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://one.example/d sid main\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "b.list").write_text("deb http://three.example/d sid main\n")
    (parts / "a.sources").write_text(DEB822)
    (parts / "c.list.disabled").write_text("deb http://four.example/d sid main\n")
    uris = [found.uris[0] for found in read_sources(tmp_path)]
    assert uris == [
        "http://one.example/d",
        "http://mirror.example/debian",
        "http://mirror.example/debian-security",
        "http://three.example/d",
    ]


def test_a_machine_without_sources_has_none(tmp_path: Path) -> None:
    assert read_sources(tmp_path / "nowhere") == []


SECURITY = source("http://m.example/debian-security", "bookworm-security")
UPDATES = source("http://m.example/updates", "bookworm-updates")
MAIN = source("http://m.example/debian", "bookworm")
STABLE = source("http://m.example/stable", "stable")
THIRD = source("http://third.example/apt", "bookworm", components=("tools",))
CDROM = source("cdrom:[Debian]/", "bookworm")
SID = source("http://m.example/debian", "sid")


@pytest.mark.parametrize(
    ("sources", "codename", "expected"),
    [
        ([THIRD, CDROM, SECURITY, UPDATES, MAIN], "bookworm", MAIN),
        ([STABLE, MAIN], "bookworm", MAIN),
        ([SECURITY, STABLE], "bookworm", STABLE),
        ([SID], "forky", SID),
        ([THIRD, SID], "", SID),
    ],
)
def test_the_entry_that_serves_the_host_is_taken(
    sources: list[Source], codename: str, expected: Source
) -> None:
    assert main_archive(sources, codename) is expected


@pytest.mark.parametrize("sources", [[], [SECURITY, UPDATES, THIRD, CDROM]])
def test_without_such_an_entry_the_lab_says_so(sources: list[Source]) -> None:
    with pytest.raises(LabError, match="no Debian main archive"):
        main_archive(sources, "bookworm")


def test_the_same_archive_with_another_suite() -> None:
    (found, _) = parse_deb822(DEB822)
    assert stanza(found, ("forky", "sid")) == (
        "Types: deb\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: forky sid\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
    )
