"""How SELinux classes the messages of a NETLINK_XFRM socket: what a policy calls ``nlmsg_read`` and ``nlmsg_write``.

The check is made where a message is sent, for every message of the datagram, and needs a loaded policy; who may not write gets EACCES
from ``send`` itself. It comes on top of CAP_NET_ADMIN, which GETs need too. Types beyond the last are let through.

Source: security/selinux/nlmsgtab.c: nlmsg_xfrm_perms.
"""

from pyxfrm.abi import messages as m

__all__ = ["READS", "WRITES"]

READS = frozenset(
    (
        m.XFRM_MSG_GETSA,
        m.XFRM_MSG_GETPOLICY,
        m.XFRM_MSG_GETAE,
        m.XFRM_MSG_REPORT,
        m.XFRM_MSG_NEWSADINFO,
        m.XFRM_MSG_GETSADINFO,
        m.XFRM_MSG_GETSPDINFO,
        m.XFRM_MSG_MAPPING,
        m.XFRM_MSG_GETDEFAULT,
    )
)
WRITES = frozenset(m.MESSAGES) - READS
