"""``xfrm relocate``: move everything that belongs to an endpoint.

    xfrm relocate --from-local 192.0.2.10 --to-local 203.0.113.10 --dry-run
    xfrm relocate --from-local 192.0.2.10 --to-local 203.0.113.10
    xfrm relocate --status | --resume | --abort | --history
    xfrm relocate --watch wlan0 --from-local 192.0.2.10

The exit status tells how it ended: see `STATUS`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pyxfrm.cli import told
from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.cli.streams import mute
from pyxfrm.cli.uncut import to_its_end
from pyxfrm.errors import RefusedError, UsageError, XfrmError
from pyxfrm.model import INHERIT, REMOVE, Encap, Mark, ip
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Plan, Strategy
from pyxfrm.relocation.wish import Select, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxfrm.model import Address, SaId
    from pyxfrm.relocation.driver import Driver, Moment
    from pyxfrm.relocation.ends import End
    from pyxfrm.relocation.journal import Entry, Journal
    from pyxfrm.relocation.steps import Outcome

__all__ = ["main", "parser"]

LONGEST = 60_000  # of a --delay, --drain or --listen, each in its unit
AROUND = 0.3  # seconds before and after a move that a picture shows
_STATUS = {State.MOVED: 0, State.AS_BEFORE: 1, State.LOST: 3}
UNFINISHED = 4
STATUS = """\
exit status:
  0    moved; of --abort: undone; of --dry-run: it could be done
  1    as before, or the kernel could not be asked
  2    refused: the command line or the plan says why; nothing was done
  3    SAs were lost, and what they protected is blocked
  4    unfinished: --resume goes on, --abort undoes it; of --status: so it is
  130, 143, 129  Ctrl-C, SIGTERM, SIGHUP; heard when the relocation has ended
"""


def main(argv: list[str]) -> int:
    """Run it."""
    words = parser().parse_args(argv)
    with ExitStack() as stack:
        task = _Task(words, stack)
        for name in ("status", "history", "resume", "abort", "watch", "watch_mappings"):
            if getattr(words, name):
                work: Callable[[], int] = getattr(task, name)
                return work()
        return task.relocate()


# -- the command line --------------------------------------------------------------------------------


_USAGE = """\
xfrm relocate --from-local ADDR --to-local ADDR [OPTION ...]
       xfrm relocate --from-remote ADDR --to-remote ADDR [OPTION ...]
       xfrm relocate --resume | --abort | --status | --history [OPTION ...]
       xfrm relocate --watch DEV | --watch-mappings [OPTION ...]"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        "xfrm relocate",
        usage=_USAGE,
        description="Move everything that belongs to an endpoint: SAs and policies.",
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _endpoint_words(made)
    _manner_words(made)
    _other_words(made)
    return made


def _endpoint_words(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which endpoint, and where to")
    for end in ("local", "remote"):
        group.add_argument(f"--from-{end}", metavar="ADDR", help=f"its {end} address now")
        group.add_argument(f"--to-{end}", metavar="ADDR", help="afterwards (default: stays)")
    group.add_argument(
        "--encap", metavar="none|SPORT:DPORT", help="UDP encapsulation, ports as sent from here"
    )
    group.add_argument("--reqid", type=_number, metavar="N", help="afterwards; templates follow")
    group.add_argument("--no-offload", action="store_true", help="afterwards in software")
    group.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only SAs with this spi, reqid, mark (V/M), if_id, cpu or label; repeat for more",
    )
    group.add_argument("--netns", metavar="NAME", help="network namespace (default: this one)")
    group.add_argument("--peer-netns", metavar="NAME", help="the other end is ours, too: move both")
    group.add_argument(
        "--engine", metavar="NAME|SOCKET", help="an engine that serves there, no kernel"
    )
    group.add_argument(
        "--peer-engine", metavar="NAME|SOCKET", help="the other end is such an engine"
    )


def _manner_words(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how")
    group.add_argument("--strategy", choices=[s.value for s in Strategy], help="default: the best")
    group.add_argument(
        "--guard",
        choices=[g.value for g in Guard],
        default=Guard.IN_PLACE.value,
        help="how to block",
    )
    group.add_argument(
        "--delay", type=_duration, default=0.0, metavar="MS", help="to the peer, one way"
    )
    group.add_argument(
        "--drain", type=_duration, metavar="MS", help="for packets that are under way"
    )
    group.add_argument(
        "--listen",
        type=_duration,
        default=0.2,
        metavar="S",
        help="count packets first (default: 0.2)",
    )
    group.add_argument("--dual", default="", metavar="DEV", help="take both addresses there, by tc")
    group.add_argument("--peer-dual", default="", metavar="DEV", help="the same at the other end")
    group.add_argument("--any-address", action="store_true", help="the new address may come later")
    group.add_argument("--force", action="store_true", help="move a key manager's SAs, too")
    group.add_argument("--dry-run", action="store_true", help="show the plan and do nothing")


def _other_words(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_argument_group("instead of moving").add_mutually_exclusive_group()
    verbs.add_argument("--resume", action="store_true", help="finish what was cut off")
    verbs.add_argument("--abort", action="store_true", help="undo what was cut off")
    verbs.add_argument("--status", action="store_true", help="is anything unfinished here?")
    verbs.add_argument("--history", action="store_true", help="the last relocations")
    verbs.add_argument(
        "--watch", metavar="DEV", help="move whenever this interface's address changes"
    )
    verbs.add_argument(
        "--watch-mappings", action="store_true", help="move when a NAT does; needs --select spi="
    )
    group = parser.add_argument_group("what is told")
    group.add_argument("--json", action="store_true", help="plan and outcome as JSON")
    group.add_argument("--events", metavar="FILE", help="a line of JSON for each step; - is stdout")
    group.add_argument("--report", metavar="FILE", help="a picture (SVG) of what arrived")
    group.add_argument("--journal", metavar="FILE", help="default: /var/lib/pyxfrm/journal.db")


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _duration(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 0 to {LONGEST}")
    return value


def _encap(text: str | None) -> Any:
    if text is None:
        return INHERIT
    if text == "none":
        return REMOVE
    sport, colon, dport = text.partition(":")
    if not (colon and sport.isdigit() and dport.isdigit()):
        raise UsageError(f"--encap {text}: say none, or two ports as in 4500:4500")
    return Encap(int(sport), int(dport))


def _mark(text: str) -> Mark:
    value, slash, mask = text.partition("/")
    return Mark(int(value, 0), int(mask, 0)) if slash else Mark(int(value, 0))


_KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "spi": ("spis", lambda text: int(text, 0)),
    "reqid": ("reqids", lambda text: int(text, 0)),
    "mark": ("marks", _mark),
    "if_id": ("if_ids", lambda text: int(text, 0)),
    "cpu": ("cpus", lambda text: int(text, 0)),
    "label": ("labels", lambda text: text.encode()),
}


def _select(pairs: list[str]) -> Select:
    sets: dict[str, set[Any]] = {}
    for word in ",".join(pairs).split(",") if pairs else []:
        key, equals, text = word.partition("=")
        if key not in _KEYS or not equals:
            raise UsageError(f"--select {word}: say one of {', '.join(_KEYS)} and = and a value")
        name, read = _KEYS[key]
        try:
            sets.setdefault(name, set()).add(read(text))
        except ValueError:
            raise UsageError(f"--select {word}: {text!r} is not a number") from None
    return Select(**{name: frozenset(values) for name, values in sets.items()})


def _address(text: str | None) -> Any:
    return None if text is None else ip(text)


def _wish(words: argparse.Namespace) -> Wish:
    return Wish(
        _address(words.from_local),
        _address(words.from_remote),
        _address(words.to_local),
        _address(words.to_remote),
        _encap(words.encap),
        words.reqid,
        REMOVE if words.no_offload else INHERIT,
        _select(words.select),
    )


def _options(words: argparse.Namespace) -> Options:
    return Options(
        Strategy(words.strategy) if words.strategy else None,
        Guard(words.guard),
        words.any_address,
        words.force,
        None if words.drain is None else words.drain / 1000,
        dual=words.dual,
        peer_dual=words.peer_dual,
    )


# -- the work ----------------------------------------------------------------------------------------


class _Task:
    """One run of the command."""

    def __init__(self, words: argparse.Namespace, stack: ExitStack) -> None:
        self.words = words
        self.stack = stack
        self.listeners: list[Callable[[Moment], None]] = []
        self._events: Any = None

    # what it works with

    @cached_property
    def journal(self) -> Journal:
        """The journal of this machine."""
        from pyxfrm.relocation.journal import Journal, default_path

        path = Path(self.words.journal) if self.words.journal else default_path()
        journal = Journal(path)
        self.stack.callback(journal.close)
        return journal

    @cached_property
    def ends(self) -> list[End]:
        """This end, and the peer if it is ours."""
        words = self.words
        made = [self._end(words.netns, words.engine)]
        if words.peer_netns or words.peer_engine:
            made.append(self._end(words.peer_netns, words.peer_engine))
        return made

    def _end(self, netns: str | None, engine: str | None) -> End:
        from pyxfrm.cli.target import engine_path, netns_of
        from pyxfrm.client import Xfrm
        from pyxfrm.relocation.ends import EngineEnd, KernelEnd

        if engine:
            path = engine_path(engine) or Path(engine)
            xfrm = self.stack.enter_context(Xfrm.connect(path))
            return EngineEnd(xfrm, str(path.resolve()))
        return self.stack.enter_context(KernelEnd(netns_of(netns)))

    @cached_property
    def driver(self) -> Driver:
        """Over these ends."""
        from pyxfrm.relocation.driver import Driver

        if self.words.events == "-":
            self._events = sys.stdout
        elif self.words.events:
            self._events = _appended(self.words.events)
            self.stack.callback(_closed, self._events)
        return Driver(self.ends, self.journal, listener=self._listen)

    def _listen(self, moment: Moment) -> None:
        from pyxfrm.relocation.show import event_json

        for listener in self.listeners:
            listener(moment)
        if self._events is not None:
            line = json.dumps({"schema": SCHEMA, **event_json(moment)})
            print(line, file=self._events, flush=True)

    # the verbs

    def relocate(self) -> int:
        """Plan, and carry it out."""
        plans = self._plans(_wish(self.words))
        if self.words.dry_run:
            self._show_plans(plans)
            return 2 if any(plan.refusals for plan in plans) else 0
        if self._refused(plans):
            return 2
        return self._carry_out(plans)

    def _refused(self, plans: tuple[Plan, ...]) -> bool:
        """Why not, a line for each reason, and the same reason of both ends once; --json: as the plan."""
        reasons = dict.fromkeys(refusal.text for plan in plans for refusal in plan.refusals)
        if reasons and self.words.json:
            self._show_plans(plans)
        for text in reasons:
            print(f"xfrm: relocation refused: {text}", file=sys.stderr, flush=True)
        return bool(reasons)

    def _plans(self, wish: Wish) -> tuple[Plan, ...]:
        from pyxfrm.relocation.plan import make_pair, make_plan
        from pyxfrm.relocation.survey import survey

        words, options = self.words, _options(self.words)
        facts = [survey(end, listen=words.listen, delay=words.delay / 1000) for end in self.ends]
        if len(facts) == 2:
            return make_pair(wish, (facts[0], facts[1]), options)
        return (make_plan(wish, facts[0], options),)

    def _carry_out(self, plans: tuple[Plan, ...]) -> int:
        self.listeners.clear()
        with to_its_end():
            with self._picture(plans):
                self._progress(f"{plans[0].wish}, {plans[0].strategy.value}")
                outcome = self._driven(lambda: self.driver.relocate(*plans))
            return UNFINISHED if outcome is None else self._tell(outcome, plans)

    def _driven(self, work: Callable[[], Outcome]) -> Outcome | None:
        """What comes of it; None: it is unfinished, and that was told."""
        try:
            return work()
        except UsageError:
            raise  # refused before it began
        except (XfrmError, KeyboardInterrupt) as why:
            if not self._unfinished():
                raise
            if isinstance(why, XfrmError):
                print(f"xfrm: {told(why)}", file=sys.stderr, flush=True)
            self._tell_unfinished()
            if isinstance(why, KeyboardInterrupt):
                raise
            return None

    def _unfinished(self) -> bool:
        """A journal that cannot be read may have something unfinished."""
        try:
            return self.driver.unfinished() is not None
        except XfrmError:
            return True

    def _tell_unfinished(self) -> None:
        what = "it is unfinished: xfrm relocate --resume goes on, --abort undoes it"
        print(f"xfrm: {what} (with the same ends and --journal)", file=sys.stderr, flush=True)

    def _progress(self, title: str) -> None:
        """On a terminal: what is done, as it is done."""
        if not self.words.json and sys.stderr.isatty():
            from pyxfrm.cli.progress import Steps

            self.listeners.append(Steps(title))

    @contextmanager
    def _picture(self, plans: tuple[Plan, ...]) -> Iterator[None]:
        """Listen to packets from a little before to a little after, and draw them."""
        if not self.words.report:
            yield
            return
        from pyxfrm.relocation.ends import KernelEnd
        from pyxfrm.relocation.tap import Tap
        from pyxfrm.relocation.witness import Witness

        end = self.ends[-1]
        if not isinstance(end, KernelEnd):
            raise UsageError("--report: an engine has no packets to listen to")
        tap = Tap(end, frozenset(move.old.id.spi for plan in plans for move in plan.sas))
        witness = Witness()
        self.listeners.append(witness)
        try:
            time.sleep(AROUND)
            yield
            time.sleep(AROUND)
        finally:
            tap.close()
        _write(self.words.report, witness.picture(tap.arrivals, plans))

    def _show_plans(self, plans: tuple[Plan, ...]) -> None:
        from pyxfrm.relocation.show import plan_json, plan_lines

        if self.words.json:
            found = [plan_json(plan) for plan in plans]
            print(json.dumps({"schema": SCHEMA, "plans": found}, indent=2))
            return
        for plan in plans:
            print("\n".join(plan_lines(plan)))

    def _tell(self, outcome: Outcome, plans: tuple[Plan, ...]) -> int:
        from pyxfrm.relocation.driver import outcome_json
        from pyxfrm.relocation.show import outcome_lines, plan_json

        if self.words.json:
            made = {"plans": [plan_json(p) for p in plans], "outcome": outcome_json(outcome)}
            text = json.dumps({"schema": SCHEMA, **made}, indent=2)
        else:
            text = "\n".join(outcome_lines(outcome))
        _say(text)
        if self._unfinished():
            self._tell_unfinished()
            return UNFINISHED
        return _STATUS[outcome.state]

    def resume(self) -> int:
        """Finish what was cut off."""
        return self._go_on(abort=False)

    def abort(self) -> int:
        """Undo what was cut off."""
        return self._go_on(abort=True)

    def _go_on(self, *, abort: bool) -> int:
        driver = self.driver  # what cannot be reached is told before
        self._progress("undoing what was cut off" if abort else "finishing what was cut off")
        with to_its_end():
            outcome = self._driven(lambda: driver.resume(abort=abort))
            if outcome is None:
                return UNFINISHED
            status = self._tell(outcome, ())
            wanted = State.AS_BEFORE if abort else State.MOVED
            if status == _STATUS[outcome.state]:
                return 0 if outcome.state is wanted else status or 1
            return status

    def status(self) -> int:
        """Whether something is unfinished here."""
        entry = self.driver.unfinished()
        none = f"nothing is unfinished here (journal {self.journal.path})"
        self._show_entries([] if entry is None else [entry], none)
        return 0 if entry is None else UNFINISHED

    def history(self) -> int:
        """The last relocations."""
        none = f"nothing was relocated yet (journal {self.journal.path})"
        self._show_entries(self.journal.history(), none)
        return 0

    def _show_entries(self, entries: list[Entry], none: str) -> None:
        from pyxfrm.relocation.show import entry_json, entry_lines

        if self.words.json:
            found = [entry_json(entry) for entry in entries]
            print(json.dumps({"schema": SCHEMA, "relocations": found}, indent=2))
            return
        print("\n".join(line for entry in entries for line in entry_lines(entry)) or none)

    def watch(self) -> int:
        """Follow an interface until Ctrl-C."""
        from pyxfrm.cli.target import netns_of
        from pyxfrm.relocation.watch import AddressTracker, follow

        local = _address(self.words.from_local)
        if local is None:
            raise UsageError("--watch: say which local address the endpoint has now (--from-local)")
        device, tracker = self.words.watch, AddressTracker(local)
        places = follow(device, tracker, self._follow_to, netns=netns_of(self.words.netns))
        print(f"watching {device}: the endpoint is at {local}", flush=True)
        for place in places:
            print(f"the endpoint is at {place}", flush=True)
        return 0

    def _follow_to(self, local: Address, new: Address) -> bool:
        words = self.words
        remote, encap = _address(words.from_remote), _encap(words.encap)
        wish = Wish(local, remote, new, encap=encap, select=_select(words.select))
        return self._move_now(wish)

    def _move_now(self, wish: Wish) -> bool:
        """What goes wrong is told, and watching goes on."""
        try:
            plans = self._plans(wish)
            return not self._refused(plans) and self._carry_out(plans) == 0
        except XfrmError as why:
            print(f"xfrm: {wish}: {told(why)}", file=sys.stderr, flush=True)
            return False

    def watch_mappings(self) -> int:
        """Follow the peer's NAT until Ctrl-C."""
        from pyxfrm.client import Group
        from pyxfrm.relocation.watch import MappingTracker, Peer, heed

        named = _select(self.words.select).spis
        if not named:
            raise UsageError(
                "--watch-mappings: name the inbound SAs that may follow (--select spi=)"
            )
        xfrm = self.ends[0].xfrm
        events = self.stack.enter_context(xfrm.events(Group.MAPPING))

        def seen(name: SaId) -> Peer | None:
            try:
                sa = xfrm.get_sa(name).sa
            except RefusedError:
                return None
            return Peer(sa.saddr, sa.encap.sport, sa.encap.dport) if sa.encap else None

        print(f"listening for MAPPING events of {len(named)} SAs", flush=True)
        for wish in heed(events, MappingTracker(named), seen, self._move_now):
            print(f"moved: {wish}", flush=True)
        return 0


def _say(text: str) -> None:
    """The outcome, on stdout. Where that cannot be written the status still tells how it ended."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as why:
        mute()
        with suppress(OSError):
            print(f"xfrm: standard output: {why.strerror}", file=sys.stderr)


def _appended(path: str) -> IO[str]:
    try:
        return Path(path).open("a")
    except OSError as why:
        raise UsageError(f"--events {path}: {why.strerror}") from None


def _closed(file: IO[str]) -> None:
    with suppress(OSError):  # the disk is full: that is among the troubles already
        file.close()


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as why:
        raise UsageError(f"{path}: {why.strerror}") from None
