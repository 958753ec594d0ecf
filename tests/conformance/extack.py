"""The texts with which Linux refuses, and which of them the suite reaches.

``extack.tsv`` lists all: text, source file, and for those that no case can reach the reason. A text that ends in "(" or holds "%x" is
completed by the kernel with a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pyxfrm.lab.script import Transcript
from pyxfrm.wire.messages import decode_all
from pyxfrm.wire.netlink import ErrorBody

__all__ = ["TEXTS", "Text", "told"]


class Text(NamedTuple):
    """One text; ``why_not``: why no case can reach it, "" if one can."""

    text: str
    source: str
    why_not: str = ""

    def matches(self, told: str) -> bool:
        """Whether this is the text that was told."""
        pattern = re.escape(self.text).replace("%x", "[0-9a-f]+")
        return (
            re.fullmatch(pattern + (r"\d+\)" if self.text.endswith("(") else ""), told) is not None
        )


def _read() -> list[Text]:
    lines = (Path(__file__).parent / "extack.tsv").read_text().splitlines()
    return [Text(*line.split("\t")) for line in lines if not line.startswith("#")]


TEXTS = _read()


def told(transcripts: Iterable[Transcript]) -> set[str]:
    """Every extended-ACK text in what kernels answered."""
    found = set()
    for transcript in transcripts:
        for data in transcript.datagrams:
            for message in decode_all(data):
                if isinstance(message.body, ErrorBody):
                    found.add(message.body.text)
    return found - {""}
