"""The words of ``xfrm state``, ``xfrm policy``, ``xfrm monitor`` and ``xfrm migrate``: one table for everything.

The parser (:mod:`pyxfrm.cli.parse`), the help texts, the manual page and the shells' completion are all made of it.
A row is a :class:`Keyword`: its word, the values that follow, and one line about it. What follows can be

* values, each named after a row of :data:`VALUES`, e.g. ``reqid REQID``;
* optional keywords of its own, e.g. ``mark MARK [ mask MASK ]``;
* a run of keywords of a group, e.g. ``sel SELECTOR``: as many as there are, one at least;
* one keyword of a group, e.g. ``limit LIMIT``;
* one or more words of a list, e.g. ``flag FLAG-LIST``.

A :class:`Group` in the list of a verb stands for a run of its keywords without a word in front, e.g. ``ID``. The words are iproute2 7.3's
(man 8 ip-xfrm), and ``state migrate``, ``migrate`` are ours.
"""

from __future__ import annotations

from typing import NamedTuple

from pyxfrm.abi import xfrm as c

__all__ = ["ALIASES", "GROUPS", "Group", "Keyword", "TOGETHER", "VALUES", "VERBS", "Value", "Verb"]


class Value(NamedTuple):
    """A kind of value: how it is read (``kind``, of :mod:`pyxfrm.cli.values`), and one line about it.

    ``words``: the only ones it can be, with what they mean
    """

    kind: str
    about: str
    words: dict[str, int] = {}  # noqa: RUF012  # never changed


class Keyword(NamedTuple):
    """A word and what follows it.

    ``values``  names of values, all of them needed; ``maybe``: of one that may come before what follows
    ``more``    keywords of its own, each at most once
    ``run``     a group, of which keywords follow; ``one``: of which one follows
    ``many``    a list of words, of which one or more follow, or their sum as ``0x...``
    ``need``    whether it must be there; ``once``: whether a second one is refused (else the last one counts)
    """

    word: str
    values: tuple[str, ...] = ()
    about: str = ""
    more: tuple[Keyword, ...] = ()
    maybe: str = ""
    run: str = ""
    one: str = ""
    many: str = ""
    need: bool = False
    once: bool = False


class Group(NamedTuple):
    """Keywords of a group, in any order, without a word in front.

    ``once``: they stand together, in one run; else each may stand anywhere. ``need``: whether one of them must be there.
    """

    name: str
    about: str = ""
    once: bool = True
    need: bool = False


class Verb(NamedTuple):
    """``words``: what may follow; ``summary``: one line; ``short``: any beginning of a word will do, and of two that fit the first."""

    summary: str
    words: tuple[Keyword | Group, ...] = ()
    short: bool = False


_MODES = {
    "transport": c.XFRM_MODE_TRANSPORT,
    "tunnel": c.XFRM_MODE_TUNNEL,
    "ro": c.XFRM_MODE_ROUTEOPTIMIZATION,
    "in_trigger": c.XFRM_MODE_IN_TRIGGER,
    "beet": c.XFRM_MODE_BEET,
}
_PROTOS = {
    "esp": c.IPPROTO_ESP,
    "ah": c.IPPROTO_AH,
    "comp": c.IPPROTO_COMP,
    "route2": c.IPPROTO_ROUTING,
    "hao": c.IPPROTO_DSTOPTS,
    "ipsec-any": c.IPSEC_PROTO_ANY,
}
_DIRS = {"in": c.XFRM_POLICY_IN, "out": c.XFRM_POLICY_OUT, "fwd": c.XFRM_POLICY_FWD}

VALUES: dict[str, Value] = {
    "ADDR": Value("host", "an IPv4 or IPv6 address"),
    "OADDR": Value("address", "the original address; 0.0.0.0 for none"),
    "NETWORK": Value("network", "ADDR[/PLEN]"),
    "XFRM-PROTO": Value("choice", "what is done to packets", _PROTOS),
    "SPI": Value("u32", "the Security Parameter Index; of IPComp, the CPI"),
    "MODE": Value("choice", "how packets are wrapped", _MODES),
    "MARK": Value("u32", "a packet's mark"),
    "MASK": Value("u32", "which bits of the mark count; all of them unless given"),
    "REQID": Value("u32", "ties SAs to the templates of policies; 0 to none"),
    "SEQ": Value("u32", "a sequence number"),
    "ACQUIRE": Value("seq", "the sequence number of the ACQUIRE that is answered"),
    "SIZE": Value("u32", "packets that may come late; over 32, or with esn, as a long bitmap"),
    "STATE-FLAG": Value(
        "flag8",
        "a flag",
        {
            "noecn": c.XFRM_STATE_NOECN,
            "decap-dscp": c.XFRM_STATE_DECAP_DSCP,
            "nopmtudisc": c.XFRM_STATE_NOPMTUDISC,
            "wildrecv": c.XFRM_STATE_WILDRECV,
            "icmp": c.XFRM_STATE_ICMP,
            "af-unspec": c.XFRM_STATE_AF_UNSPEC,
            "align4": c.XFRM_STATE_ALIGN4,
            "esn": c.XFRM_STATE_ESN,
        },
    ),
    "EXTRA-FLAG": Value(
        "flag32",
        "a flag",
        {
            "dont-encap-dscp": c.XFRM_SA_XFLAG_DONT_ENCAP_DSCP,
            "oseq-may-wrap": c.XFRM_SA_XFLAG_OSEQ_MAY_WRAP,
        },
    ),
    "POLICY-FLAG": Value(
        "flag8", "a flag", {"localok": c.XFRM_POLICY_LOCALOK, "icmp": c.XFRM_POLICY_ICMP}
    ),
    "ALGO-NAME": Value("text", "an algorithm as the kernel calls it, e.g. cbc(aes)"),
    "ALGO-KEYMAT": Value("key", "the key, salt included: 0x and digits, or text"),
    "BITS": Value("u32", "a length in bits"),
    "DEV": Value("device", "a network interface"),
    "PROTO": Value("protocol", "an upper-layer protocol: name or number"),
    "PORT": Value("u16", "a port"),
    "NUMBER": Value("u16", "a number, 0 to 65535"),
    "GRE-KEY": Value("grekey", "a GRE key: dotted quad or number"),
    "COUNT": Value("u64", "a number of bytes or packets"),
    "SECONDS": Value("u64", "seconds"),
    "ENCAP-TYPE": Value(
        "choice",
        "what ESP is carried in",
        {
            "espinudp-nonike": c.UDP_ENCAP_ESPINUDP_NON_IKE,
            "espinudp": c.UDP_ENCAP_ESPINUDP,
            "espintcp": c.TCP_ENCAP_ESPINTCP,
        },
    ),
    "CTX": Value("text", "a security context"),
    "FILE": Value("text", "netlink messages, one behind the other"),
    "SA-DIR": Value(
        "choice", "the SA's direction", {"in": c.XFRM_SA_DIR_IN, "out": c.XFRM_SA_DIR_OUT}
    ),
    "OFFLOAD": Value("choice", "what the device does", {"crypto": 0, "packet": 4}),
    "IF-ID": Value("u32", "an XFRM interface"),
    "LENGTH": Value("u32", "bytes"),
    "CPUNUM": Value("u32", "a CPU"),
    "DIR": Value("choice", "the policy's direction", _DIRS),
    "INDEX": Value("u32", "the number that the kernel gave the policy"),
    "PTYPE": Value(
        "choice",
        "which of the two policy databases",
        {"main": c.XFRM_POLICY_TYPE_MAIN, "sub": c.XFRM_POLICY_TYPE_SUB},
    ),
    "ACTION": Value(
        "choice",
        "what becomes of packets",
        {"allow": c.XFRM_POLICY_ALLOW, "block": c.XFRM_POLICY_BLOCK},
    ),
    "PRIORITY": Value("u32", "the lowest number wins"),
    "LEVEL": Value("choice", "whether packets pass without the SA", {"required": 0, "use": 1}),
    "BITS4": Value("bits4", "a prefix length of IPv4, 0 to 32"),
    "BITS6": Value("bits6", "a prefix length of IPv6, 0 to 128"),
    "DEFAULT": Value(
        "choice",
        "what becomes of packets that no policy matches",
        {"block": c.XFRM_USERPOLICY_BLOCK, "accept": c.XFRM_USERPOLICY_ACCEPT},
    ),
}

_MASK = (Keyword("mask", ("MASK",), "which bits count"),)
_MARK = Keyword("mark", ("MARK",), "the mark by which it is told from others", _MASK)
_MODE = Keyword("mode", ("MODE",), "transport unless given")
_REQID = Keyword("reqid", ("REQID",), "what ties it to templates")
_IF_ID = Keyword("if_id", ("IF-ID",), "the XFRM interface it belongs to")
_CTX = Keyword("ctx", ("CTX",), "its security context", once=True)
_PTYPE = Keyword("ptype", ("PTYPE",), "main unless given", once=True)
_DIR = Keyword("dir", ("DIR",), "the policy's direction")
_INDEX = Keyword("index", ("INDEX",), "its number, instead of a selector")
_LIMIT = Keyword("limit", about="when it expires", one="LIMIT")
_FLAG = Keyword("flag", about="flags, or their number as 0x..", many="STATE-FLAG")
_POLICY_FLAG = Keyword("flag", about="flags, or their number as 0x..", many="POLICY-FLAG")
_SA_DIR = Keyword("dir", ("SA-DIR",), "the SA's direction")
_PCPU = Keyword("pcpu-num", ("CPUNUM",), "the one CPU it is for")
_SEQ = Keyword("seq", ("ACQUIRE",), "the ACQUIRE that it answers")
_ENCAP = Keyword("encap", ("ENCAP-TYPE", "PORT", "PORT", "OADDR"), "UDP or TCP around ESP")

GROUPS: dict[str, tuple[Keyword, ...]] = {
    "ID": (
        Keyword("src", ("ADDR",), "its source"),
        Keyword("dst", ("ADDR",), "its destination"),
        Keyword("proto", ("XFRM-PROTO",), "its protocol"),
        Keyword("spi", ("SPI",), "its SPI"),
    ),
    "ALGO": (
        Keyword("enc", ("ALGO-NAME", "ALGO-KEYMAT"), "encryption"),
        Keyword("auth", ("ALGO-NAME", "ALGO-KEYMAT"), "integrity"),
        Keyword("auth-trunc", ("ALGO-NAME", "ALGO-KEYMAT", "BITS"), "integrity, truncated"),
        Keyword("aead", ("ALGO-NAME", "ALGO-KEYMAT", "BITS"), "both at once, with its ICV length"),
        Keyword("comp", ("ALGO-NAME",), "compression"),
    ),
    "SELECTOR": (
        Keyword("src", ("NETWORK",), "from"),
        Keyword("dst", ("NETWORK",), "to"),
        Keyword("dev", ("DEV",), "over"),
        Keyword("proto", ("PROTO",), "of this protocol"),
        Keyword("sport", ("PORT",), "source port (tcp, udp, sctp, dccp)"),
        Keyword("dport", ("PORT",), "destination port (tcp, udp, sctp, dccp)"),
        Keyword("type", ("NUMBER",), "ICMP type (icmp, ipv6-icmp, mobility-header)"),
        Keyword("code", ("NUMBER",), "ICMP code (icmp, ipv6-icmp, mobility-header)"),
        Keyword("key", ("GRE-KEY",), "GRE key (gre)"),
    ),
    "LIMIT": (
        Keyword("time-soft", ("SECONDS",), "since it was added: told"),
        Keyword("time-hard", ("SECONDS",), "since it was added: gone"),
        Keyword("time-use-soft", ("SECONDS",), "since its first use: told"),
        Keyword("time-use-hard", ("SECONDS",), "since its first use: gone"),
        Keyword("byte-soft", ("COUNT",), "bytes: told"),
        Keyword("byte-hard", ("COUNT",), "bytes: gone"),
        Keyword("packet-soft", ("COUNT",), "packets: told"),
        Keyword("packet-hard", ("COUNT",), "packets: gone"),
    ),
    "TMPL": (
        Keyword("src", ("ADDR",), "the tunnel's near end"),
        Keyword("dst", ("ADDR",), "its far end"),
        Keyword("proto", ("XFRM-PROTO",), "the protocol"),
        Keyword("spi", ("SPI",), "just this SPI"),
        Keyword("mode", ("MODE",), "transport unless given"),
        Keyword("reqid", ("REQID",), "of the SAs it asks for"),
        Keyword("level", ("LEVEL",), "required unless given"),
    ),
    "OFFLOADED": (
        Keyword("dev", ("DEV",), "the device"),
        Keyword("dir", ("SA-DIR",), "the direction"),
    ),
    "DEFAULTS": (
        Keyword("in", ("DEFAULT",), "packets that come in"),
        Keyword("fwd", ("DEFAULT",), "packets that are forwarded"),
        Keyword("out", ("DEFAULT",), "packets that go out"),
    ),
}

# Where ``proto`` is the SA's, the selector's has another word.
GROUPS["POLICY"] = tuple(
    keyword._replace(word="sel-proto") if keyword.word == "proto" else keyword
    for keyword in GROUPS["SELECTOR"]
)

# Of these groups some keywords must stand in one run, with no other between them.
TOGETHER = {
    "TMPL": ("src", "dst", "proto", "spi"),
    "SELECTOR": ("proto", "sport", "dport", "type", "code", "key"),
    "POLICY": ("sel-proto", "sport", "dport", "type", "code", "key"),
}

_ID = Group("ID", "which SA", need=True)
_SOME = Group("ID", "which SAs")
_WHERE = _DIR._replace(need=True, once=True)
_NUMBER = _INDEX._replace(once=True)
_SELECTOR = Group("SELECTOR", "which packets")

_STATE_ADD = (
    _ID,
    Group("ALGO", "its algorithms; one of a kind", once=False),
    _MODE,
    _MARK,
    _REQID,
    _SA_DIR,
    _SEQ,
    Keyword("replay-window", ("SIZE",), "how many packets may come late"),
    Keyword("replay-seq", ("SEQ",), "highest number received"),
    Keyword("replay-oseq", ("SEQ",), "last number sent"),
    Keyword("replay-seq-hi", ("SEQ",), "its high half (esn)"),
    Keyword("replay-oseq-hi", ("SEQ",), "its high half (esn)"),
    _FLAG,
    Keyword("sel", about="packets that it is for", run="SELECTOR"),
    _LIMIT,
    _ENCAP,
    Keyword("coa", ("NETWORK",), "care-of address (route2, hao)", once=True),
    _CTX,
    Keyword("extra-flag", about="flags, or their number as 0x..", many="EXTRA-FLAG"),
    Keyword("offload", about="let a device do it", maybe="OFFLOAD", run="OFFLOADED"),
    Keyword("output-mark", ("MARK",), "mark that its packets get", _MASK),
    _IF_ID,
    Keyword("tfcpad", ("LENGTH",), "pad packets to this length"),
    _PCPU,
)
_NEW = (
    Keyword("new-dst", ("ADDR",), "destination afterwards", need=True),
    Keyword("new-src", ("ADDR",), "source afterwards", need=True),
    Keyword("new-reqid", ("REQID",), "reqid afterwards; 0 for none", need=True),
    Keyword("new-mark", ("MARK",), "mark afterwards; mask 0 removes it", _MASK),
    Keyword("set-mark", ("MARK",), "mark that its packets get", _MASK),
    Keyword("encap", about="kept unless given", one="NEW-ENCAP"),
    Keyword("offload", about="kept unless given", one="NEW-OFFLOAD"),
    Keyword("mtimer-thresh", ("SECONDS32",), "seconds between two MAPPING events"),
    Keyword("nat-keepalive", ("SECONDS32",), "seconds between NAT keep-alives; 0 for none"),
    Keyword("update-h2h-sel", about="the selector of two hosts follows the addresses"),
    Keyword("new-sel", about="another selector; kept unless given", run="SELECTOR"),
)
GROUPS["NEW-ENCAP"] = (
    Keyword("none", about="none afterwards"),
    Keyword("espinudp", ("PORT", "PORT", "OADDR"), "in UDP afterwards"),
)
GROUPS["NEW-OFFLOAD"] = (
    Keyword("none", about="in software afterwards"),
    Keyword("packet", about="whole, by a device", run="OFFLOADED"),
    Keyword("crypto", about="cryptography by a device", run="OFFLOADED"),
)
VALUES["SECONDS32"] = Value("u32", "seconds")

_STATE_LIST = (
    Keyword("nokeys", about="hide keys (they are hidden unless --show-keys)"),
    _SOME,
    _MODE,
    _REQID,
    _FLAG,
)
_POLICY_ADD = (
    _SELECTOR,
    _WHERE,
    _CTX,
    _MARK,
    _INDEX,
    _PTYPE,
    Keyword("action", ("ACTION",), "allow unless given"),
    Keyword("priority", ("PRIORITY",), "the lowest number wins; 0 unless given"),
    _POLICY_FLAG,
    _IF_ID,
    _LIMIT,
    Keyword("tmpl", about="an SA that it asks for; 6 at most", run="TMPL"),
    Keyword("offload", about="let a device do it", maybe="OFFLOAD", run="OFFLOADED"),
)
_POLICY_NAME = (_SELECTOR, _WHERE, _NUMBER, _CTX, _MARK, _PTYPE, _IF_ID)
_POLICY_LIST = (
    Keyword("nosock", about="without the policies of sockets"),
    _SELECTOR,
    _DIR,
    _INDEX,
    _PTYPE._replace(once=False),
    Keyword("action", ("ACTION",), "of this action"),
    Keyword("priority", ("PRIORITY",), "of this priority"),
    _POLICY_FLAG,
)
_MONITOR = tuple(
    Keyword(word, about=about)
    for word, about in (
        ("all-nsid", "of other namespaces, too, that have a number here"),
        ("acquire", "policies that ask for an SA"),
        ("expire", "SAs and policies that reach a limit"),
        ("SA", "SAs that come, change and go"),
        ("policy", "policies that come, change and go"),
        ("aevent", "SAs that tell where they stand"),
        ("report", "packets that break Mobile IPv6's rules"),
        ("migrate", "SAs that move, and peers seen elsewhere"),
        ("all", "everything (as without a word)"),
        ("nokeys", "hide keys (they are hidden unless --show-keys)"),
    )
)
_MONITOR = (Keyword("file", ("FILE",), "what is in a file; -: the standard input"), *_MONITOR)
_MOVE_ENDS = tuple(
    Keyword(word, ("ADDR",), about, need=True)
    for word, about in (
        ("old-src", "source of the SAs"),
        ("old-dst", "destination of the SAs"),
        ("new-src", "source afterwards"),
        ("new-dst", "destination afterwards"),
    )
)

VERBS: dict[str, dict[str, Verb]] = {
    "state": {
        "add": Verb("install an SA", _STATE_ADD),
        "update": Verb("change an SA, or grow a larval one", _STATE_ADD),
        "allocspi": Verb(
            "make a larval SA with a free SPI",
            (
                _ID,
                _MODE,
                _MARK,
                _REQID,
                _SA_DIR,
                _SEQ,
                Keyword("min", ("SPI",), "lowest SPI", once=True),
                Keyword("max", ("SPI",), "highest SPI", once=True),
                _PCPU,
            ),
        ),
        "delete": Verb("delete an SA", (_ID, _MARK)),
        "get": Verb("show an SA", (_ID, _MARK)),
        "deleteall": Verb("delete the SAs that match", _STATE_LIST[1:]),
        "list": Verb("show the SAs that match", _STATE_LIST),
        "flush": Verb(
            "delete all SAs", (Keyword("proto", ("XFRM-PROTO",), "of this protocol", once=True),)
        ),
        "count": Verb("how many SAs there are"),
        "migrate": Verb("move one SA, its sequence numbers with it", (_ID, _MARK, *_NEW)),
    },
    "policy": {
        "add": Verb("install a policy", _POLICY_ADD),
        "update": Verb("put a policy in the place of the one of its name", _POLICY_ADD),
        "delete": Verb("delete a policy", _POLICY_NAME),
        "get": Verb("show a policy", _POLICY_NAME),
        "deleteall": Verb("delete the policies that match", _POLICY_LIST),
        "list": Verb("show the policies that match", _POLICY_LIST),
        "flush": Verb("delete all policies", (_PTYPE,)),
        "count": Verb("how many policies there are"),
        "set": Verb(
            "from which prefix lengths on policies are hashed",
            (
                Keyword("hthresh4", ("BITS4", "BITS4"), "IPv4: local, remote", once=True),
                Keyword("hthresh6", ("BITS6", "BITS6"), "IPv6: local, remote", once=True),
            ),
        ),
        "setdefault": Verb(
            "set what becomes of packets that no policy matches",
            (Group("DEFAULTS", "one of a kind", need=True),),
        ),
        "getdefault": Verb("show what becomes of packets that no policy matches"),
    },
    "monitor": {"": Verb("show what happens, as it happens", _MONITOR, short=True)},
    "migrate": {
        "": Verb(
            "move a policy and its SAs: the old message",
            (
                Group("POLICY", "which policy"),
                _WHERE,
                _PTYPE,
                Keyword("reqid", ("REQID",), "of the SAs; 0 for any"),
                _MODE,
                Keyword("proto", ("XFRM-PROTO",), "of the SAs; esp unless given"),
                *_MOVE_ENDS,
                _ENCAP,
                _IF_ID,
            ),
        )
    },
}

VALUES["FILE"] = Value("text", "a file")
VALUES["NAME"] = Value("text", "what --engine calls it")
VALUES["PLACE"] = Value(
    "text", "ADDR, ADDR:PORT (4500 unless given), or ADDR:esp for ESP without UDP"
)
VALUES["SIDE"] = Value("text", "left or right")
VALUES["PROFILE"] = Value("text", "the kernel to behave as, e.g. 7.2")
VALUES["DEVICE"] = Value("text", "a network interface to be made")
VALUES["BYTES"] = Value("u16", "bytes")
VALUES["RATE"] = Value("decimal", "packets a second")
VALUES["TIME"] = Value("decimal", "seconds, e.g. 0.5")
_SIZED = (Keyword("size", ("BYTES",), "of each"), Keyword("count", ("COUNT",), "of packets"))
_SENT = (
    Keyword("stream", ("RATE",), "send numbered packets; without a device", _SIZED),
    Keyword("ping", ("RATE",), "send pings; without a device", _SIZED),
    Keyword("seconds", ("TIME",), "end by itself"),
    Keyword("drain", ("TIME",), "how long an SA's old place is kept; 1 unless given"),
    Keyword("hold", ("TIME",), "how long packets wait for an SA that moves"),
    Keyword("profile", ("PROFILE",), "of its engine"),
)
VERBS["tunnel"] = {
    "run": Verb(
        "one end of a tunnel, and an engine to fill or to move it with",
        (
            Keyword("name", ("NAME",), "of its engine; tunnel unless given"),
            Keyword(
                "tun",
                ("DEVICE",),
                "a TUN device inside",
                (Keyword("mtu", ("BYTES",), "of the device"),),
            ),
            Keyword("address", ("NETWORK",), "of the device or the station inside; any number"),
            Keyword("route", ("NETWORK",), "through the device; any number"),
            Keyword(
                "keys",
                ("FILE",),
                "a tunnel from a file of keys, which serves each side once",
                (Keyword("side", ("SIDE",), "which keys are for sending"),),
            ),
            Keyword("local", ("PLACE",), "this end outside"),
            Keyword("remote", ("PLACE",), "the other end outside"),
            Keyword("inner", ("NETWORK",), "behind this end; any number"),
            Keyword("peer", ("NETWORK",), "behind the other end; any number"),
            Keyword("to", ("ADDR",), "where stream and ping go"),
            *_SENT,
        ),
    ),
    "pair": Verb("two ends on loopback, left and right, to be moved under a stream", _SENT),
    "keys": Verb("a file of new keys", (Keyword("file", ("FILE",), "where to write them"),)),
    "list": Verb("the ends that serve on this machine"),
}

# Other words for verbs, as iproute2 takes them; besides, any beginning of a verb will do (the first that fits).
ALIASES = {"delall": "deleteall", "show": "list", "lst": "list"}
