"""What ``xfrm tunnel`` shows while it runs: a line a second about a stream, a line an answer about a ping."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from pyxfrm.cli.as_json import document
from pyxfrm.cli.options import Options
from pyxfrm.cli.streams import mute
from pyxfrm.tunnel import Arrivals, End, Loop, Ping, Station, Stream

__all__ = ["Ending", "Sources", "follow"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 0.2  # seconds for what is under way when the time is over


@dataclass
class Sources:
    """What an end sends."""

    stream: Stream | None = None
    ping: Ping | None = None

    def stop(self) -> None:
        """Send no more."""
        for one in (self.stream, self.ping):
            if one is not None:
                one.stop()


class Ending:
    """Ctrl-C, SIGTERM and SIGHUP while this is entered: they end the loop in good order; it ends at once where it has not begun. A second one ends the set-up itself.

    A signal that was ignored before (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        heard = [each for each in _ENDING if signal.getsignal(each) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._stop) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, _: int, __: FrameType | None) -> None:
        if self.loop is not None:
            self.loop.stop()
        elif self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def run(self, loop: Loop, seconds: float | None) -> None:
        """Run the loop; a signal stops it."""
        self.loop = loop
        try:
            if not self.asked:
                loop.run(seconds)
        finally:
            self.loop = None


def follow(
    ends: Sequence[tuple[str, End]],
    source: Sources | None,
    options: Options,
    seconds: float | None,
    ending: Ending,
    *,
    sink: Station | None = None,
) -> None:
    """Drive the ends until a signal or the time ends it, and show what happens. ``sink``: where the stream arrives, if that is in this process."""
    with Loop(*(end for _, end in ends)) as loop:
        view = _View(ends, source, sink, json_lines=options.json)
        loop.every(1.0, view.problems)
        if any(isinstance(end.inner, Station) for _, end in ends):
            loop.every(1.0, view.second)
        if source is not None and source.ping is not None:
            loop.every(0.05, view.answers)
        with _settled():
            ending.run(loop, seconds)
        if source is not None:
            source.stop()
            loop.run(_GRACE)
            view.second()
            view.answers()


@contextmanager
def _settled() -> Iterator[None]:
    """Let the collector pass by what is there by now: going through all of it holds up packets for tens of milliseconds on a slow machine."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _View:
    """Lines on stdout."""

    def __init__(
        self,
        ends: Sequence[tuple[str, End]],
        source: Sources | None,
        sink: Station | None,
        *,
        json_lines: bool,
    ) -> None:
        self.ends = ends
        self.source = source or Sources()
        self.sink = sink
        self.json_lines = json_lines
        self._answers = 0
        self._shown: dict[tuple[str, int], int] = {}
        self._told: set[tuple[str, str]] = set()
        self._silent = False

    def problems(self) -> None:
        """What does not work now, on stderr, once: whoever has started it looks now, and not at the end."""
        for name, end in self.ends:
            for problem in end.problems:
                if (name, problem) not in self._told:
                    self._told.add((name, problem))
                    print(f"xfrm: {name}: {problem}", file=sys.stderr, flush=True)

    def second(self) -> None:
        """How the stream does; and streams that come from elsewhere."""
        stream = self.source.stream
        if stream is not None:
            row: dict[str, object] = {"sent": stream.sent, "left_out": stream.skipped}
            if self.sink is not None:
                row |= _arrived(self.sink, stream)
            self._print("stream", row)
        for name, end in self.ends:
            if end.inner is not self.sink and isinstance(end.inner, Station):
                for number, arrivals in end.inner.arrivals.items():
                    if self._shown.get((name, number)) == arrivals.received:
                        continue
                    self._shown[name, number] = arrivals.received
                    self._print("arrived", {"at": name, "stream": number, **_counts(arrivals)})

    def answers(self) -> None:
        """New answers to the ping."""
        ping = self.source.ping
        if ping is None:
            return
        for pong in ping.answers[self._answers :]:
            self._print(
                "pong",
                {
                    "seq": pong.number,
                    "bytes": pong.size,
                    "ms": round(pong.seconds * 1000, 3),
                    "via": str(pong.via),
                },
            )
        self._answers = len(ping.answers)

    def _print(self, what: str, row: dict[str, object]) -> None:
        """A reader that has gone ends the tunnel; a disk that is full does not: packets count, not lines."""
        if self._silent:
            return
        words = "  ".join(f"{name} {value}" for name, value in row.items())
        try:
            print(document(what, row) if self.json_lines else words, flush=True)
        except BrokenPipeError:
            raise
        except OSError as why:
            self._silent = True
            mute()
            print(f"xfrm: standard output: {why.strerror}; no more lines", file=sys.stderr)


def _arrived(sink: Station, stream: Stream) -> dict[str, object]:
    arrivals = sink.arrivals.get(stream.number)
    if arrivals is None:
        return {"received": 0}
    return {**_counts(arrivals), "under_way_or_lost": arrivals.lost(stream.sent)}


def _counts(arrivals: Arrivals) -> dict[str, object]:
    return {
        "received": arrivals.received,
        "duplicates": arrivals.duplicates,
        "latency_ms": round(arrivals.latency * 1000, 3),
        "longest_gap_ms": round(arrivals.longest_gap * 1000, 1),
        "via": str(arrivals.via),
    }
