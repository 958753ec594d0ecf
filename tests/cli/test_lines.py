"""The same command lines, given to iproute2 7.3 and to this command: the same kernel tables, the same text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pyxfrm.lab import Lab
from tests.cli import lines, made

pytestmark = pytest.mark.kernel

ALONE = {line: [line] for line in lines.ALONE}
AFTER = {line: [line] for line in lines.AFTER if "all" not in line}
DELETING = {line: [line] for line in lines.AFTER if "all" in line}
GENERATED = {str(i): case for i, case in enumerate(lines.generated(7, 40))}
MADE = {str(i): case for i, case in enumerate(made.cases(11, 80))}
FULL = [*lines.SAS, *lines.POLICIES, *lines.SPECIAL]
PLAIN = [*lines.SAS, *lines.POLICIES]


def compare(
    lab: Lab, cases: dict[str, list[str]], before: Sequence[str] = ()
) -> dict[str, list[str]]:
    """What differs, by case. Where a second has passed between setting the clock and a line's end, and something differs, it is played again."""
    found, late = _compare(lab, cases, before)
    for _ in range(4):
        again, late = _compare(lab, {name: cases[name] for name in late if found[name]}, before)
        found |= again
    return found


def _compare(
    lab: Lab, cases: dict[str, list[str]], before: Sequence[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """What differs, by case; and which cases were late."""
    arguments = [[whose, before, case] for case in cases.values() for whose in ("iproute2", "xfrm")]
    played = list(lab.map("tests.cli.guest:play", arguments))
    pairs = dict(zip(cases, zip(played[::2], played[1::2], strict=True), strict=True))
    late = [name for name, pair in pairs.items() if any(p.value and p.value["late"] for p in pair)]
    return {name: differences(cases[name], *pair) for name, pair in pairs.items()}, late


def differences(case: Sequence[str], theirs: Any, ours: Any) -> list[str]:
    if theirs.error or ours.error:
        return [theirs.error, ours.error, ours.traceback]
    found = []
    pairs = zip(case, theirs.value["outcomes"], ours.value["outcomes"], strict=True)
    for line, one, other in pairs:
        if one[:2] != other[:2]:
            found.append(f"{line}\n  iproute2: {one[2]} {one[1]!r} {one[3]!r}")
            found.append(f"  xfrm: {other[2]} {other[1]!r} {other[3]!r}")
    if theirs.value["tables"] != ours.value["tables"]:
        one, other = theirs.value["tables"], ours.value["tables"]
        found += [f"  iproute2: {row}" for row in one if row not in other]
        found += [f"  xfrm: {row}" for row in other if row not in one] or ["another order"]
    return found


@pytest.fixture(scope="session")
def alone(lab72: Lab) -> dict[str, list[str]]:
    return compare(lab72, ALONE)


@pytest.fixture(scope="session")
def after(lab72: Lab) -> dict[str, list[str]]:
    return compare(lab72, AFTER, FULL) | compare(lab72, DELETING, PLAIN)


@pytest.fixture(scope="session")
def generated(lab72: Lab) -> dict[str, list[str]]:
    return compare(lab72, GENERATED)


@pytest.fixture(scope="session")
def made_ones(lab72: Lab) -> dict[str, list[str]]:
    return compare(lab72, MADE)


@pytest.mark.parametrize("line", ALONE)
def test_a_line_alone(alone: dict[str, list[str]], line: str) -> None:
    assert alone[line] == []


@pytest.mark.parametrize("line", [*AFTER, *DELETING])
def test_a_line_on_full_tables(after: dict[str, list[str]], line: str) -> None:
    assert after[line] == []


@pytest.mark.parametrize("name", GENERATED)
def test_generated_lines(generated: dict[str, list[str]], name: str) -> None:
    assert generated[name] == []


@pytest.mark.parametrize("name", MADE)
def test_lines_made_of_the_grammar(made_ones: dict[str, list[str]], name: str) -> None:
    assert made_ones[name] == []


def test_deleting_all_leaves_nothing(lab72: Lab) -> None:
    """Where iproute2 stops halfway: sub policies, and policies of an interface."""
    for line in ("policy deleteall", "policy deleteall dir in"):
        played = lab72.call("tests.cli.guest:play", ["xfrm", FULL, [line, "policy list dir in"]])
        assert played["outcomes"][-1][:2] == [True, ""]
