"""What an onlooker sees who stands outside, at the wire, and knows no key: whether anything can be read, and whether any number comes twice.

Every payload that an end sends is looked at. Under ESP with AES-GCM it is: SPI (4 bytes), sequence number (4, the low half), IV (8), ciphertext, ICV (RFC 4106 §3). An IV that is
used a second time with the same key gives away what is in both packets. Each SPI of the demo has one key for all its life, so (SPI, IV) stands for (key, IV).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxfrm.tunnel import Run

__all__ = ["Watch"]

_SHORTEST = 16  # of a sealed payload; shorter ones are keepalives


class Watch:
    """Counts payloads that are sent.

    ``secrets``  bytes that are in each inner packet, and should be seen nowhere
    ``sent``     payloads; ``clear``: those with a secret in them; ``reused``: those with a number or an IV that was used before
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self.secrets = list(secrets)
        self.sent = 0
        self.clear = 0
        self.reused = 0
        self._numbers: set[bytes] = set()
        self._ivs: set[bytes] = set()

    def tap(self, out: bool, run: Run) -> None:
        """See :class:`pyxfrm.tunnel.End`."""
        if out:
            for payload in run.payloads:
                self.look(payload)

    def look(self, payload: bytes) -> None:
        """One payload."""
        self.sent += 1
        self.clear += any(secret in payload for secret in self.secrets)
        if len(payload) < _SHORTEST:
            return
        number, iv = payload[:8], payload[:4] + payload[8:16]
        self.reused += number in self._numbers or iv in self._ivs
        self._numbers.add(number)
        self._ivs.add(iv)
