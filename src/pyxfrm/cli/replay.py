"""``xfrm replay``: recorded conversations against the engine, byte for byte."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyxfrm.abi.profiles import PROFILES, Profile
from pyxfrm.cli import told
from pyxfrm.cli.arguments import Parser, add_profile
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.errors import UsageError, XfrmError
from pyxfrm.transport.recording import bundled
from pyxfrm.transport.replay.kernel import profile_of
from pyxfrm.transport.replay.session import Difference, Report, Tally, replay
from pyxfrm.wire.describe import difference
from pyxfrm.wire.messages import message_name

__all__ = ["main", "parser", "run_all"]

Progress = Callable[[int, int], None]


def main(argv: Sequence[str]) -> int:
    """``xfrm replay FILE...|--bundled [--json] [--diff] [--profile NAME]``."""
    args = parser().parse_args(argv)
    profile = PROFILES[args.profile] if args.profile else None
    files = [file for path in args.file for file in _files(Path(path))]
    files += bundled() if args.bundled else []
    if not files:
        raise UsageError("replay: which recording? FILE..., or --bundled for those of pyxfrm")
    if args.json:
        reports, refused = run_all(files, profile)
        print(json.dumps(_as_json(reports, refused), indent=2))
    else:
        from pyxfrm.cli import replay_view

        with replay_view.progress(len(files)) as advance:
            reports, refused = run_all(files, profile, advance)
        replay_view.show(reports, diff=args.diff)
        for why in refused.values():
            print(f"xfrm: {told(why)}", file=sys.stderr)
    if refused:
        return 2
    return 0 if all(report.identical for report in reports) else 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="xfrm replay",
        description="Run recorded NETLINK_XFRM conversations against the engine and compare every reply and "
        "every event byte for byte. Exit status: 0 nothing differs, 1 something does, 2 a file is no sound recording.",
    )
    made.add_argument("file", nargs="*", help="a recording, or a directory of *.jsonl")
    made.add_argument(
        "--bundled", action="store_true", help="the recordings that come with pyxfrm (50)"
    )
    made.add_argument("--json", action="store_true", help="the result as JSON")
    made.add_argument(
        "--diff", action="store_true", help="show the first difference of each file, field by field"
    )
    add_profile(made, "the kernel to be, instead of the one in the file's name")
    return made


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.jsonl"))
    if not found:
        raise UsageError(f"{path}: no *.jsonl in this directory")
    return found


def run_all(
    files: Sequence[Path],
    profile: Profile | None,
    advance: Callable[[Path], Progress] | None = None,
) -> tuple[list[Report], dict[Path, XfrmError]]:
    """Replay each file, also if another one is refused. ``advance(file)`` gives the progress function for it."""
    reports, refused = [], {}
    for file in files:
        try:
            tell = advance(file) if advance else None
            reports.append(replay(file, profile or profile_of(file), tell))
        except XfrmError as why:
            refused[file] = why
    return reports, refused


def _as_json(reports: list[Report], refused: dict[Path, XfrmError]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "identical": not refused and all(report.identical for report in reports),
        "files": [_report_json(report) for report in reports],
        "refused": [{"file": str(file), "why": str(why)} for file, why in refused.items()],
    }


def _report_json(report: Report) -> dict[str, Any]:
    return {
        "file": report.file,
        "profile": report.profile,
        "messages": report.messages,
        "replies": _tally_json(report.replies),
        "events": _tally_json(report.events),
        "inputs": dict(sorted(report.inputs.items())),
        "differences": [_difference_json(one) for one in report.differences],
    }


def _tally_json(tally: Tally) -> dict[str, int]:
    return {
        "compared": tally.compared,
        "identical": tally.identical,
        "differing": tally.compared - tally.identical,
    }


def _difference_json(one: Difference) -> dict[str, Any]:
    return {
        "line": one.line,
        "netns": one.netns,
        "kind": one.kind,
        "type": message_name(one.number),
        "fields": [
            {"field": field, "expected": expected, "got": got}
            for field, expected, got in difference(one.expected, one.got)
        ],
    }
