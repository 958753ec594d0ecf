"""The report of part 1: one HTML file with everything in it. No scripts, nothing from elsewhere; light, dark, on paper, on a telephone."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape

from pyxfrm import __version__, svg
from pyxfrm.cli.demo.account import Account, Row, percentile
from pyxfrm.cli.demo.picture import NEAR, moves_of, near, overview, window
from pyxfrm.cli.demo.scene import DRAIN, HOLD, PAUSE, SIZE
from pyxfrm.cli.demo.words import LEGEND, TITLE, reasons

__all__ = ["Facts", "page"]

PERCENTS = (50, 90, 99, 99.9, 100)


def _load() -> str:
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except OSError:
        return "unknown"


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Facts:
    """Where and when it was measured, for whoever wants to do it again. ``command``: as it was typed."""

    command: str
    when: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    system: str = f"{platform.system()} {platform.release()}, {platform.machine()}"
    python: str = f"{platform.python_implementation()} {sys.version.split()[0]}"
    cpus: int = field(default_factory=_cpus)
    load: str = field(default_factory=_load)


_CSS = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #57606a; --paper: #ffffff; --card: #f6f8fa; --edge: #d0d7de; --good: #116329; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9da7b1; --paper: #0d1117; --card: #161b22; --edge: #30363d; --good: #56d364; --bad: #ff8a80; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 64rem; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; text-wrap: balance } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem }
p { max-width: 46rem; margin: .5rem 0 } .lead { font-size: 1.08rem } .small, figcaption, .small td { font-size: .875rem } .small, dt { color: var(--faint) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.5rem 0; padding: 0; list-style: none }
.tiles li { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem; padding: .8rem 1rem }
.tiles b { display: block; font-size: 2rem; line-height: 1.15; font-variant-numeric: tabular-nums } .good { color: var(--good) } .bad { color: var(--bad); font-weight: 600 }
.wide { overflow-x: auto; margin: 1rem 0 } .wide > svg { min-width: 42rem; display: block }
.near { display: grid; grid-template-columns: repeat(auto-fill, minmax(17.5rem, 1fr)); gap: 1.25rem 1rem; margin: 1rem 0 }
figure { margin: 0; break-inside: avoid } figcaption b { font-size: 1rem } figcaption .small { display: block; min-height: 2.8em; line-height: 1.4 } svg { width: 100%; height: auto; display: block }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; min-width: 100% }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--edge); white-space: nowrap } th:first-child, td.way, th.way { text-align: left } thead th { vertical-align: bottom; white-space: normal }
tbody th { font-weight: 500 } tfoot th, tfoot td { font-weight: 600; border-bottom: 0 } td.way { font: .8125rem/1.4 ui-monospace, monospace; white-space: normal; min-width: 17rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; font-size: .875rem } dd { margin: 0; overflow-wrap: anywhere } code { font: .9em ui-monospace, monospace }
@media (max-width: 34rem) { body { padding: 1.25rem 1rem 2rem } h1 { font-size: 1.5rem } .tiles { grid-template-columns: 1fr 1fr } .tiles b { font-size: 1.6rem } figcaption .small { min-height: 0 } }
@page { margin: 14mm }
@media print { tfoot { display: table-row-group } table, dl { break-inside: avoid } body { max-width: none; padding: 0; font-size: 10pt } .tiles li { border-color: #999 } .wide { overflow: visible } .wide > svg { min-width: 0 } .near { grid-template-columns: repeat(3, 1fr) }
  table { font-size: 7.5pt } th, td { padding: .15rem .3rem } td.way { font-size: 6.5pt; min-width: 0 } h2 { break-after: avoid } }
"""


def page(moved: Account, compared: Account | None, facts: Facts) -> str:
    """The whole file."""
    moves = moves_of(moved)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>pyxfrm demo: {escape(TITLE)}</title>",
        f"<style>{svg.sheet()}\n{_CSS}</style></head><body>",
        f"<header>{_head(moved)}</header><main>",
        _section("From afar", _overview(moved)),
        _section("From near", _NEAR + _grid(moved, moves)),
        _section("In numbers", _numbers(moved)),
    ]
    if compared is not None:
        parts.append(
            _section(
                "For comparison: without waiting, and as it was done before", _compare(compared)
            )
        )
    parts += [
        _section("How long packets took", _percentiles(moved, compared)),
        _section("How this was measured", _method(moved, facts)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{inside}</section>"


def _p(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


# -- the head ----------------------------------------------------------------------------------------


def _head(moved: Account) -> str:
    total, moves = moved.total, moves_of(moved)
    lead = (
        f"Two ends of an IPsec tunnel, {moved.rate:g} packets a second each way. While they flowed, the tunnel moved {len(moves)} times: "
        f"{', '.join(row.name for row in moves)}. Each SA was named and moved by one message, XFRM_MSG_MIGRATE_STATE."
    )
    tiles = [
        _tile(total.lost, f"lost of {total.sent:,}"),
        _tile(total.twice, "came twice"),
        _tile(total.clear, "could be read on the wire"),
        _tile(total.reused, "with a number used before"),
    ]
    return f'<h1>{escape(TITLE)}</h1>{_p(lead, "lead")}<ul class="tiles">{"".join(tiles)}</ul>'


def _tile(count: int, words: str) -> str:
    return f'<li><b class="{_kind(count)}">{count}</b>{escape(words)}</li>'


def _kind(count: int) -> str:
    return "bad" if count else "good"


# -- figures -----------------------------------------------------------------------------------------

_NEAR = _p(
    "Each packet is a line from the moment at which it was made to the moment at which it came, one above the other by their numbers. The band is the time from the first call of the "
    "move to the last. Long lines that end together are packets that waited; a cross would be one that never came."
)


def _overview(account: Account) -> str:
    wide, tall, parts = overview(account)
    title = "Latency of each packet, and time since the packet before, over time, with the moves"
    return f'<div class="wide">{svg.inline(wide, tall, title, parts)}</div>' + _p(
        "Each dot is a packet, on scales of powers of ten; the bands are the moves.", "small"
    )


def _grid(account: Account, rows: Sequence[Row], *, numbered: bool = True) -> str:
    figures = []
    for n, row in enumerate(rows, 1):
        picture = svg.inline(*NEAR, f"{row.name}, from near", near(account, row, window(account)))
        name = f"{n}. {row.name}" if numbered else row.name
        caption = f"<b>{escape(name)}</b> <span class='small'>{escape(row.why)}</span>"
        figures.append(f"<figure><figcaption>{caption}</figcaption>{picture}</figure>")
    return f'<div class="near">{"".join(figures)}</div>'


# -- numbers -----------------------------------------------------------------------------------------

_HEADS = (
    "lost",
    "twice",
    "clear",
    "reused",
    "sent",
    "waited",
    "took, ms",
    "slowest, ms",
    "gap, ms",
    "calls",
    "late",
)
_MORE = " slowest: the packet that took longest. calls: requests to the two engines. late: packets that came to a place that had been left, and were taken all the same."


def _numbers(account: Account) -> str:
    body = "".join(map(_row, account.rows))
    foot = _row(account.total)
    skipped = [
        _p(f"{row.name}: left out, since {row.skipped}.") for row in account.rows if row.skipped
    ]
    table = _table(("", *_HEADS), body, foot)
    return table + _p(LEGEND + _MORE, "small") + _ways(account) + "".join(skipped)


def _table(heads: Sequence[str], body: str, foot: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    foot = f"<tfoot>{foot}</tfoot>" if foot else ""
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody>{foot}</table></div>\n"
    )


def _row(row: Row) -> str:
    cells: Iterable[str]
    if row.skipped:
        cells = ["<td>-</td>"] * len(_HEADS)
    else:
        slowest = row.latencies[-1] if row.latencies else 0.0
        counts = (row.lost, row.twice, row.clear, row.reused)
        cells = [
            *(f'<td class="{_kind(n)}">{n}</td>' for n in counts),
            _cell(f"{row.sent:,}"),
            _cell(row.waited if row.calls else ""),
            _cell(f"{1000 * row.took:.1f}" if row.calls else ""),
            _cell(f"{1000 * slowest:.1f}"),
            _cell(f"{1000 * row.gap:.1f}"),
            _cell(row.calls or ""),
            _cell(row.late),
        ]
    return f'<tr><th scope="row">{escape(row.name)}</th>{"".join(cells)}</tr>'


def _cell(value: object) -> str:
    return f"<td>{escape(str(value))}</td>"


def _ways(account: Account) -> str:
    """From where to where."""
    rows = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th>'
        + "".join(f'<td class="way">{escape(way)}</td>' for way in row.ways)
        + "</tr>"
        for row in moves_of(account)
    )
    head = '<th scope="col"></th><th scope="col" class="way">from</th><th scope="col" class="way">to</th>'
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n'


def _compare(account: Account) -> str:
    rows = moves_of(account)
    said = "".join(_p(text) for row in rows for text in reasons(row))
    table = _table(("", *_HEADS), "".join(map(_row, account.rows)))
    return _grid(account, rows, numbered=False) + said + table


def _percentiles(moved: Account, compared: Account | None) -> str:
    rows = [("without a move", moved.rows[0]), ("with the moves", moved.total)]
    if compared is not None:
        rows += [(row.name, row) for row in moves_of(compared)]
    body = ""
    for name, row in rows:
        cells = "".join(_cell(f"{1000 * percentile(row.latencies, p):.2f}") for p in PERCENTS)
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    heads = ("", *(f"{p:g} %" if p < 100 else "slowest" for p in PERCENTS))
    note = "Milliseconds from the inner side of one end to that of the other, of so many packets of 100."
    return _table(heads, body) + _p(note, "small")


def _method(moved: Account, facts: Facts) -> str:
    pause = (
        "Both ends, the streams, the NAT and whoever moves the tunnel are one process and one thread, on loopback, without privileges; packets are real ESP in UDP (AES-256-GCM, ESN). "
        f"Between any two calls of a move there is a pause of {1000 * PAUSE:g} ms, in which packets come and go. Packets that find no SA while SA and policy do not agree wait, up to {HOLD:g} s. An SA's old place is good "
        f"for {DRAIN:g} s. An onlooker at the wire looks for inner bytes in each payload, and for sequence numbers and IVs that come again under the same SPI."
    )
    rows = {
        "Command": facts.command,
        "When": facts.when,
        "Machine": f"{facts.system}, {facts.cpus} CPUs, load {facts.load}",
        "Software": f"pyxfrm {__version__}, {facts.python}",
        "Streams": f"{moved.rate:g} packets/s each way, {SIZE} bytes inside",
    }
    if moved.left_out:
        rows["Not made"] = f"{moved.left_out} packets: this machine was too late for them"
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    return _p(pause) + f"<dl>{items}</dl>"
