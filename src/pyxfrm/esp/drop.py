"""Why a packet goes no further: a closed set of outcomes, one exception.

Sealing and opening either give bytes or raise :class:`Drop`. Its ``counter`` is the counter of
/proc/net/xfrm_stat that Linux moves in the same case, by the kernel's name, so that a data path
only adds one to what it is told. Nothing else is raised for any packet.

The IP layer around IPsec drops too (a header whose length lies, for example); where that happens
before Linux reaches XFRM there is no such counter, and the nearest one is named here:
``XfrmInHdrError`` on the way in, ``XfrmOutError`` on the way out.
"""

from __future__ import annotations

from enum import StrEnum

from pyxfrm.errors import XfrmError

__all__ = ["Counter", "Drop"]


class Counter(StrEnum):
    """The counters that one packet of one SA can move (net/xfrm/xfrm_proc.c)."""

    IN_HDR_ERROR = "XfrmInHdrError"  # no whole IPsec header where one should be
    IN_NO_STATES = "XfrmInNoStates"  # the SPI is another SA's
    IN_STATE_PROTO_ERROR = "XfrmInStateProtoError"  # ICV wrong, lengths wrong, dummy packet
    IN_STATE_MODE_ERROR = "XfrmInStateModeError"  # the inside does not fit the SA's mode
    IN_STATE_SEQ_ERROR = "XfrmInStateSeqError"  # replayed, or left of the window
    IN_STATE_MISMATCH = "XfrmInStateMismatch"  # UDP encapsulated or not, against the SA
    OUT_ERROR = "XfrmOutError"  # no room for the packet in an IP datagram
    OUT_STATE_PROTO_ERROR = "XfrmOutStateProtoError"  # the protocol could not wrap it
    OUT_STATE_MODE_ERROR = "XfrmOutStateModeError"  # the SA's mode cannot carry it
    OUT_STATE_SEQ_ERROR = "XfrmOutStateSeqError"  # the sequence numbers are used up
    OUT_STATE_INVALID = "XfrmOutStateInvalid"  # the SA has moved: its successor seals now


class Drop(XfrmError):  # noqa: N818 (an outcome, as often wanted as not)
    """One packet dropped: ``counter`` says what Linux counts, ``why`` is for people.

    ``opened``: bytes of a payload that was authentic but did not fit the SA's mode; Linux has counted
    them for the SA's lifetime by then. Else None.
    """

    def __init__(self, counter: Counter, why: str) -> None:
        super().__init__(f"{counter}: {why}")
        self.counter = counter
        self.why = why
        self.opened: int | None = None
