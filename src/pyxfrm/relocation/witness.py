"""What a relocation did, for the picture of it: the driver's moments as marks, jumps and names of streams.

A strategy that copies an SA leaves sequence numbers out on purpose, from the last one that the old SA sent to the *cut* behind which the copy starts. The commands and
replies tell both, so the picture need not take the jump for lost packets.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pyxfrm.model import Sa, SaDir
from pyxfrm.relocation.commands import AddSa, Batch, ReadSa, Script
from pyxfrm.relocation.describe import in_brief
from pyxfrm.relocation.driver import Moment
from pyxfrm.relocation.moves import Plan
from pyxfrm.relocation.report import Arrival, Jump, Mark, draw

__all__ = ["Witness"]


@dataclass
class Witness:
    """Listens to a driver; :meth:`picture` tells what it heard. One for each relocation."""

    heard: list[tuple[float, Moment]] = field(default_factory=list)

    def __call__(self, moment: Moment) -> None:
        """A step was done just now."""
        self.heard.append((time.monotonic() - moment.took, moment))

    def picture(self, arrivals: Iterable[Arrival], plans: tuple[Plan, ...]) -> str:
        """An SVG of ``arrivals`` around the steps that were heard."""
        title = f"{plans[0].wish}, {plans[0].strategy.value}"
        return draw(arrivals, self.marks(), title, names=names_of(plans), jumps=self.jumps())

    def marks(self) -> list[Mark]:
        """The steps that sent something to a kernel."""
        return [
            Mark(at, in_brief(moment.command), moment.took)
            for at, moment in self.heard
            if isinstance(moment.command, Script)
        ]

    def jumps(self) -> dict[int, Jump]:
        """By SPI: the numbers that were left out."""
        last: dict[int, int] = {}
        cuts: dict[int, int] = {}
        for _, moment in self.heard:
            command, reply = moment.command, moment.reply
            if isinstance(command, ReadSa) and isinstance(reply, Sa):
                last[reply.id.spi] = max(last.get(reply.id.spi, 0), reply.replay.oseq)
            for sa in _copies(moment):
                cuts[sa.id.spi] = max(cuts.get(sa.id.spi, 0), sa.replay.oseq)
        return {spi: Jump(last[spi], cut) for spi, cut in cuts.items() if cut > last.get(spi, cut)}


def _copies(moment: Moment) -> Iterator[Sa]:
    if isinstance(moment.command, Script):
        for part in moment.command.parts:
            if isinstance(part, Batch):
                yield from (c.sa for c in part.commands if isinstance(c, AddSa))


def names_of(plans: tuple[Plan, ...]) -> dict[int, str]:
    """By SPI: what a lane of the picture is called, as seen from the end where packets are heard, the last one."""
    return {
        move.old.id.spi: (
            f"{'out' if move.dir == SaDir.OUT else 'in'} {move.old.saddr} > {move.old.id.daddr}, "
            f"SPI {move.old.id.spi:#010x}"
        )
        for move in plans[-1].sas
    }
