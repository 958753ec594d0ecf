"""Command lines that show how a verb is used; they are in its help and in the manual page, and tests run each of them."""

from __future__ import annotations

from typing import Final

__all__ = ["EXAMPLES"]

_KEY = "0x000102030405060708090a0b0c0d0e0f10111213"

_ADD = f"""\
xfrm state add src 192.0.2.10 dst 198.51.100.1 proto esp spi 0x100
reqid 7 mode tunnel replay-window 128 flag esn
aead 'rfc4106(gcm(aes))' {_KEY} 128"""
_TO_A_NAT = """\
xfrm state migrate dst 198.51.100.1 proto esp spi 0x100
new-src 203.0.113.5 new-dst 198.51.100.1 new-reqid 7
encap espinudp 4500 4500 0.0.0.0"""
_TO_IPV6 = """\
xfrm state migrate dst 198.51.100.1 proto esp spi 0x100
new-src 2001:db8::5 new-dst 2001:db8::1 new-reqid 7 encap none"""
_ADD_POLICY = """\
xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out
tmpl src 192.0.2.10 dst 198.51.100.1 proto esp reqid 7 mode tunnel"""
_MOVE_POLICY = """\
xfrm migrate src 10.1.0.0/16 dst 10.2.0.0/16 dir out
reqid 7 mode tunnel old-src 192.0.2.10 old-dst 198.51.100.1
new-src 203.0.113.5 new-dst 198.51.100.1"""

# (object, verb): command lines that work one after the other, in the order of this table, on an empty XFRM. Where a line is long, it is broken.
EXAMPLES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("state", "add"): (_ADD,),
    ("state", "list"): ("xfrm state list dst 198.51.100.1", "xfrm --json state list"),
    ("state", "get"): ("xfrm state get dst 198.51.100.1 proto esp spi 0x100",),
    ("state", "migrate"): (_TO_A_NAT, _TO_IPV6),
    ("policy", "add"): (_ADD_POLICY,),
    ("policy", "get"): ("xfrm policy get src 10.1.0.0/16 dst 10.2.0.0/16 dir out",),
    ("migrate", ""): (_MOVE_POLICY,),
    ("state", "delete"): ("xfrm state delete dst 2001:db8::1 proto esp spi 0x100",),
    ("policy", "delete"): ("xfrm policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out",),
}
