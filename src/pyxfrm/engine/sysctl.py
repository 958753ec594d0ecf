"""Settings of a namespace that the rules ask for, with the kernel's defaults."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sysctl"]


@dataclass(slots=True)
class Sysctl:
    """net.core.xfrm_* and one of net.ipv4.

    ``xfrm_aevent_etime``   tenths of a second between two replay events
    ``xfrm_aevent_rseqth``  packets between two replay events
    ``xfrm_larval_drop``    packets without an SA are dropped, not queued
    ``xfrm_acq_expires``    seconds that a larval SA waits for its keys
    ``ip_no_pmtu_disc``     new IPv4 SAs get XFRM_STATE_NOPMTUDISC
    ``lockdown``            no setting of the namespace but a mode of the kernel: keys are shown as zeros
    """

    xfrm_aevent_etime: int = 10
    xfrm_aevent_rseqth: int = 2
    xfrm_larval_drop: int = 1
    xfrm_acq_expires: int = 30
    ip_no_pmtu_disc: int = 0
    lockdown: bool = False
