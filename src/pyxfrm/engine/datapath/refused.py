"""How a part of the data path says no to a packet, where the SA's packets themselves were all right."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):  # noqa: N818 (an outcome, like pyxfrm.esp.Drop)
    """``counter`` of /proc/net/xfrm_stat, and why."""

    def __init__(self, counter: str, why: str) -> None:
        super().__init__(f"{counter}: {why}")
        self.counter = counter
        self.why = why
