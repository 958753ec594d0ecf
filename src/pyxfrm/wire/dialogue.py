"""Which message answers which, and which is an event.

On one socket, answers and events come mixed, and an event repeats the sequence number and the port of the request that caused it. What tells them
apart is the type: no request that is answered by data causes an event of that data's type.
"""

from __future__ import annotations

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_DUMP, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, NlMsgHdr

__all__ = ["ANSWERS", "is_answer", "is_dump"]

# The message that answers a request with data; the others are answered by an ACK alone.
ANSWERS: dict[int, int] = {
    m.XFRM_MSG_GETSA: m.XFRM_MSG_NEWSA,
    m.XFRM_MSG_ALLOCSPI: m.XFRM_MSG_NEWSA,
    m.XFRM_MSG_GETPOLICY: m.XFRM_MSG_NEWPOLICY,
    m.XFRM_MSG_GETAE: m.XFRM_MSG_NEWAE,
    m.XFRM_MSG_GETSADINFO: m.XFRM_MSG_NEWSADINFO,
    m.XFRM_MSG_GETSPDINFO: m.XFRM_MSG_NEWSPDINFO,
    m.XFRM_MSG_GETDEFAULT: m.XFRM_MSG_GETDEFAULT,
}


def is_dump(request: NlMsgHdr) -> bool:
    """Whether a request asks for a table (net/xfrm/xfrm_user.c: xfrm_user_rcv_msg: either bit will do)."""
    dumpable = request.nlmsg_type in (m.XFRM_MSG_GETSA, m.XFRM_MSG_GETPOLICY)
    return dumpable and bool(request.nlmsg_flags & NLM_F_DUMP)


def is_answer(header: NlMsgHdr, request: int | None) -> bool:
    """Whether a message answers the request of type ``request`` that has its sequence number and port.

    ``request`` None: there is no such request; then only errors and ends of dumps are answers.
    """
    if header.nlmsg_type in (NLMSG_ERROR, NLMSG_DONE) or header.nlmsg_flags & NLM_F_MULTI:
        return True
    return request is not None and ANSWERS.get(request) == header.nlmsg_type
