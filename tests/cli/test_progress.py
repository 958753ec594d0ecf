"""The steps of a relocation, as a terminal of 80 columns shows them."""

from __future__ import annotations

import io

from rich.console import Console

from pyxfrm.cli.progress import Steps
from pyxfrm.model import Proto, SaId, ip
from pyxfrm.relocation.commands import DONE, UNKNOWN, Batch, Failed, RemoveSa, Script, Wait
from pyxfrm.relocation.driver import Moment

GONE = RemoveSa(SaId(ip("192.0.2.1"), Proto.ESP, 0xC1))


def shown(*moments: Moment, width: int = 80) -> list[str]:
    text = io.StringIO()
    steps = Steps("local 192.0.2.10 -> 203.0.113.10, hold", Console(file=text, width=width))
    for moment in moments:
        steps(moment)
    return text.getvalue().splitlines()


def test_a_line_for_each_step() -> None:
    script = Script((Wait(0.001), Batch((GONE, GONE))))
    lines = shown(
        Moment(1, 0.0, 0.0004, Wait(0.5), None), Moment(2, 0.51, 0.002, script, ((DONE,),))
    )
    assert lines == [
        "local 192.0.2.10 -> 203.0.113.10, hold",
        "     ms  took",
        "    0.0   0.4  wait 500 ms",
        "  510.0   2.0  wait 1 ms, delete 2 SAs",
    ]


def test_what_was_refused_is_told() -> None:
    script = Script((Batch((GONE,)),))
    lines = shown(
        Moment(1, 0.0, 0.0, script, ((Failed(3, "DELSA: ESRCH"),),)),
        Moment(2, 0.0, 0.0, script, ((UNKNOWN,),)),
    )
    assert lines[-2].endswith("delete 1 SA: refused: DELSA: ESRCH")
    assert lines[-1].endswith("delete 1 SA: no answer")


def test_long_lines_are_wrapped() -> None:
    many = Script(tuple(part for n in range(9) for part in (Batch((GONE,), n % 2), Wait(0.1))))
    lines = shown(Moment(1, 0.0, 0.0, many, ()))
    assert all(len(line) <= 80 for line in lines)
    told = " ".join(line[15:] for line in lines[2:])
    assert told.count("delete 1 SA") == told.count("wait 100 ms") == 9


def test_a_narrow_terminal_has_the_words_under_their_times() -> None:
    script = Script((Wait(0.001), Batch((GONE, GONE)), Wait(0.002)))
    lines = shown(Moment(1, 0.51, 0.002, script, ((DONE,),)), width=24)
    assert lines[-3:] == ["  510.0   2.0", "  wait 1 ms, delete 2", "  SAs, wait 2 ms"]
    assert all(len(line) <= 24 for line in lines)
