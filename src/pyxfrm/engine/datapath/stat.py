"""The counters of /proc/net/xfrm_stat (net/xfrm/xfrm_proc.c: xfrm_mib_list).

A packet that is dropped moves one of them, by the kernel's name; two where an SA of the wrong direction is found on the way out
(XfrmOutStateDirError and XfrmOutPolError). Some drops move none, in Linux as here: outbound packets without a policy where the default is
"block", and those that find a policy's queue full.

Some of these counters move only for what there is not here (devices that offload, GRO, IP-TFS, memory that runs out); they stay 0.
"""

from __future__ import annotations

__all__ = ["COUNTERS", "Stat"]

COUNTERS = (
    "XfrmInError",
    "XfrmInBufferError",
    "XfrmInHdrError",
    "XfrmInNoStates",
    "XfrmInStateProtoError",
    "XfrmInStateModeError",
    "XfrmInStateSeqError",
    "XfrmInStateExpired",
    "XfrmInStateMismatch",
    "XfrmInStateInvalid",
    "XfrmInTmplMismatch",
    "XfrmInNoPols",
    "XfrmInPolBlock",
    "XfrmInPolError",
    "XfrmOutError",
    "XfrmOutBundleGenError",
    "XfrmOutBundleCheckError",
    "XfrmOutNoStates",
    "XfrmOutStateProtoError",
    "XfrmOutStateModeError",
    "XfrmOutStateSeqError",
    "XfrmOutStateExpired",
    "XfrmOutPolBlock",
    "XfrmOutPolDead",
    "XfrmOutPolError",
    "XfrmFwdHdrError",
    "XfrmOutStateInvalid",
    "XfrmAcquireError",
    "XfrmOutStateDirError",
    "XfrmInStateDirError",
    "XfrmInIptfsError",
    "XfrmOutNoQueueSpace",
)


class Stat(dict[str, int]):
    """Counts by name, all of them always there, in the kernel's order."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(COUNTERS, 0))

    def moved(self, before: dict[str, int]) -> dict[str, int]:
        """What was added since ``before`` (a copy made then), without the zeros."""
        return {name: n - before[name] for name, n in self.items() if n != before[name]}

    def text(self) -> str:
        """As /proc/net/xfrm_stat shows them."""
        return "".join(f"{name:<24}\t{count}\n" for name, count in self.items())
