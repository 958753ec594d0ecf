"""Where does this machine get its Debian packages from? Reading apt's source lists.

The lab's kernel is a Debian package, yet no mirror is named anywhere in this project: the machine
already knows one, with the key that signs it. apt knows two formats, and a machine may mix them:

    one-line   ``deb [signed-by=/path arch=amd64] URI SUITE COMPONENT...``      (``*.list``)
    deb822     stanzas of ``Types: URIs: Suites: Components: Signed-By:``       (``*.sources``)

Both are read into `Source`; `main_archive` picks the entry that serves the host's own release from
component *main* (neither a security, update or backport suite nor a third party's); `stanza` writes
that entry again with another suite. Source: sources.list(5).

Nothing here opens a network connection or runs apt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxfrm.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Source", "main_archive", "parse_deb822", "parse_one_line", "read_sources", "stanza"]

# Suite names that a Debian main archive has whatever the release is called.
_CLASSES = ("oldstable", "stable", "testing", "unstable", "sid")
# Options that decide whether an archive is believed: they travel with its URI.
_KEPT = ("Signed-By", "Trusted", "Check-Valid-Until", "Check-Date")
_ONE_LINE = re.compile(r"^(?P<type>deb|deb-src)\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<rest>.+)$")


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of apt's source lists.

    ``options`` maps deb822 field names to their raw values; a Signed-By may be a path or a whole
    key block of several lines, kept as written.
    """

    types: tuple[str, ...]
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()


def _canonical(name: str) -> str:
    """``signed-by`` -> ``Signed-By``: options have the same names in both formats, but for case."""
    return "-".join(part.capitalize() for part in name.split("-"))


def parse_one_line(text: str) -> Iterator[Source]:
    """Entries of a ``.list`` file. Lines that are not entries are passed over, as apt warns."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        if match is None:
            continue
        words = match["rest"].split()
        if len(words) < 2:
            continue
        pairs = (item.partition("=") for item in (match["options"] or "").split())
        options = tuple((_canonical(key), value) for key, _, value in pairs)
        yield Source(
            (match["type"],), (words[0],), (words[1],), tuple(words[2:]), _relevant(options)
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """Entries of a ``.sources`` file; disabled stanzas (``Enabled: no``) are left out."""
    for block in re.split(r"\n(?:[ \t]*\n)+", text):
        fields = _fields(block)
        if not {"Types", "Uris", "Suites"} <= fields.keys():
            continue
        if fields.get("Enabled", "yes").strip().lower() in ("no", "false", "0", "off", "without"):
            continue
        yield Source(
            tuple(fields["Types"].split()),
            tuple(fields["Uris"].split()),
            tuple(fields["Suites"].split()),
            tuple(fields.get("Components", "").split()),
            _relevant(tuple(fields.items())),
        )


def _fields(block: str) -> dict[str, str]:
    """Fields of one deb822 stanza; continuation lines stay in the value, comment lines do not."""
    fields: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] in " \t":
            if name:
                fields[name] += "\n" + line
            continue
        key, _, value = line.partition(":")
        name = _canonical(key.strip())
        fields[name] = value.strip()
    return fields


def _relevant(options: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in options if key in _KEPT)


def read_sources(root: Path) -> list[Source]:
    """Every entry of an apt configuration directory (``/etc/apt``), in apt's own order.

    A file that cannot be read is passed over: apt itself would say more about it than we can.
    """
    found: list[Source] = []
    parts = root / "sources.list.d"
    files = [root / "sources.list"]
    files += sorted(parts.iterdir()) if parts.is_dir() else []
    for path in files:
        parse = {".list": parse_one_line, ".sources": parse_deb822}.get(path.suffix)
        if parse is None:
            continue
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found += parse(text)
    return found


def main_archive(sources: Iterable[Source], codename: str) -> Source:
    """The entry through which the host's own release, ``codename``, gets component *main*.

    An entry that names the codename is preferred to one that names a class (``stable``).
    Raises LabError where no entry qualifies.
    """
    usable = [s for s in sources if "deb" in s.types and "main" in s.components and _fetchable(s)]
    for wanted in ((codename,) if codename else (), _CLASSES):
        for source in usable:
            if set(wanted) & set(source.suites):
                return source
    raise LabError(
        "apt on this machine has no Debian main archive to take a user-mode kernel from; "
        "add one to its sources, or name a kernel of your own with --kernel-image"
    )


def _fetchable(source: Source) -> bool:
    """Whether its URI is one apt can fetch from unattended."""
    return bool(source.uris) and not source.uris[0].startswith("cdrom:")


def stanza(source: Source, suites: Iterable[str]) -> str:
    """The same archive, other suites, as one deb822 stanza that ends with an empty line."""
    lines = [
        "Types: deb",
        f"URIs: {' '.join(source.uris)}",
        f"Suites: {' '.join(suites)}",
        "Components: main",
    ]
    lines += [f"{name}: {value}" for name, value in source.options]
    return "\n".join(lines) + "\n\n"
