"""The shape of the code is itself tested: who may import whom, sizes, sorted ``__all__``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "pyxfrm"
MODULES = sorted(SRC.rglob("*.py"))

# Lowest floor first: a module may import from its own room and from rooms before it.
ROOMS = (
    "errors",
    "svg",
    "closing",
    "abi",
    "wire",
    "model",
    "esp",
    "engine",
    "transport",
    "client",
    "relocation",
    "lab",
    "tunnel",
    "cli",
)

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 64
MAX_SHARE_OVER_40 = 0.10

Function = ast.FunctionDef | ast.AsyncFunctionDef


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of pyxfrm that a file imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [node.module]
            if node.module == "pyxfrm":
                names = [f"pyxfrm.{alias.name}" for alias in node.names]
        rooms |= {n.split(".")[1] for n in names if n.startswith("pyxfrm.")}
    return rooms & set(ROOMS)


def functions() -> list[tuple[str, int]]:
    """(where, lines of code) of every function; the docstring does not count."""
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                lines = (node.end_lineno or 0) - node.lineno + 1
                first = node.body[0]
                if ast.get_docstring(node) is not None:
                    lines -= (first.end_lineno or 0) - first.lineno + 1
                found.append((f"{path.relative_to(SRC)}:{node.name}", lines))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_only_from_lower_floors(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in ROOMS, f"{path} is in no room of docs/design.md"
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    assert imported_rooms(path) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_file_opens_with_its_theory_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert text.count("\n") <= MAX_FILE_LINES


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_all_is_sorted(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "__all__"
            and isinstance(node.value, ast.List | ast.Tuple)
        ):
            names = [ast.literal_eval(item) for item in node.value.elts]
            assert names == sorted(names)


def test_functions_stay_small() -> None:
    sizes = functions()
    assert [f"{where}: {n} lines" for where, n in sizes if n > MAX_FUNCTION_LINES] == []
    over_40 = [where for where, n in sizes if n > 40]
    assert len(over_40) <= MAX_SHARE_OVER_40 * len(sizes), over_40
