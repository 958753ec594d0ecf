"""SAs, policies and events as JSON, member by member; what else there is, and which command writes what, is in :mod:`pyxfrm.cli.json_documents`.

The two are the one declaration of schema 1: the JSON Schema (``xfrm schema``) and docs/json.md (``xfrm schema --markdown``) are made of it, and what the
commands write is tested against it.

A row is ``name: (type, about)``; a name that ends in ``?`` may be absent. Types::

    text number real flag null any      what JSON has; a number is whole, a real is not
    [T]  {T}                            a list of T; an object whose members are all T
    T or U                              either
    =a|b|c                              one of these words
    anything else                       an object of :data:`OBJECTS`
"""

from __future__ import annotations

__all__ = ["EVENTS", "OBJECTS", "Rows", "SCHEMA"]

SCHEMA = 1

Rows = dict[str, tuple[str, str]]


_MARK: Rows = {
    "value": ("number", "of the bits that count"),
    "mask": ("number", "which bits count"),
}
OBJECTS: dict[str, tuple[str, Rows]] = {
    "SA": (
        "A Security Association.",
        {
            "id": ("SA name", "its name"),
            "src": ("text", "its source address"),
            "mode": ("text", "transport, tunnel, beet, ro, in-trigger, iptfs"),
            "algorithms?": ("[algorithm]", "what it encrypts, authenticates and compresses with"),
            "replay": ("replay", "where its sequence numbers stand"),
            "reqid": ("number", "ties it to templates; 0 to none"),
            "sel": ("selector", "the packets it is for"),
            "limits?": ("limits", "when it expires"),
            "flags?": (
                "[text]",
                "noecn, decap-dscp, nopmtudisc, wildrecv, icmp, af-unspec, align4",
            ),
            "extra_flags?": ("[text]", "dont-encap-dscp, oseq-may-wrap"),
            "dir?": ("text", "in or out"),
            "if_id": ("number", "its XFRM interface; 0 for none"),
            "set_mark?": ("mark", "the mark that its packets get"),
            "encap?": ("encap", "what ESP is carried in"),
            "mapping_threshold": ("number", "seconds between two MAPPING events; 0 for no wait"),
            "nat_keepalive": ("number", "seconds between NAT keep-alives; 0 for none"),
            "offload?": ("offload", "the device that does its work"),
            "tfc_pad": ("number", "bytes that its packets are padded to; 0 for none"),
            "cpu?": ("number", "the one CPU it is for"),
            "iptfs?": ("iptfs", "of mode iptfs"),
            "context?": ("context", "its security context"),
            "care_of?": ("text", "care-of address"),
            "acquire_seq": ("number", "the ACQUIRE that it answers; 0 for none"),
            "replay_notify?": ("number", "packets between two NEWAE events"),
            "notify_timer?": ("number", "tenths of a second between two NEWAE events"),
            "counters": ("counters", "what went through it"),
            "refusals": ("refusals", "what it refused"),
            "last_used?": ("number", "seconds since the epoch"),
        },
    ),
    "SA name": (
        "What an SA is found by.",
        {
            "dst": ("text", "its destination address"),
            "proto": ("text", "esp, ah, comp, route2, hao"),
            "spi": ("number", "its SPI; of comp, the CPI"),
            "mark?": ("mark", "the mark by which it is told from others"),
        },
    ),
    "mark": ("A packet's mark, as far as it counts.", _MARK),
    "port": ("A port, or what stands in its place (ICMP type, half a GRE key).", _MARK),
    "algorithm": (
        "An algorithm with its key.",
        {
            "kind": ("=aead|crypt|auth|comp", "what it is for"),
            "name": ("text", "the kernel's name, e.g. rfc4106(gcm(aes))"),
            "key?": ("key", "absent where there is none"),
            "icv_bits?": ("number", "length of the tag"),
        },
    ),
    "key": (
        "A key. Its bytes are there only with --show-keys.",
        {"bits": ("number", "its length"), "hex?": ("text", "its bytes, hexadecimal")},
    ),
    "replay": (
        "Sequence numbers.",
        {
            "window": ("number", "packets that may come late"),
            "oseq": ("number", "last number sent; 64 bits with esn"),
            "seq": ("number", "highest number received; 64 bits with esn"),
            "bitmap": ("text", "hexadecimal; the lowest bit is the newest packet"),
            "esn": ("flag", "whether the numbers have 64 bits"),
            "words?": ("number", "of the bitmap, 32 bits each; long form only"),
        },
    ),
    "selector": (
        "Which packets.",
        {
            "family": ("text", "inet, inet6, unspec"),
            "src": ("text", "network"),
            "dst": ("text", "network"),
            "proto?": ("number", "upper-layer protocol"),
            "sport?": ("port", "source port"),
            "dport?": ("port", "destination port"),
            "ifindex?": ("number", "over this interface"),
            "user?": ("number", "of this user"),
        },
    ),
    "limits": (
        "When an SA or a policy expires; what has no limit is absent.",
        {
            f"{how}_{what}?": ("number", about)
            for what, about in (
                ("bytes", "bytes"),
                ("packets", "packets"),
                ("add", "seconds since it was added"),
                ("use", "seconds since its first use"),
            )
            for how in ("soft", "hard")
        },
    ),
    "counters": (
        "What went through.",
        {
            "bytes": ("number", "all of them"),
            "packets": ("number", "all of them"),
            "added": ("number", "when: seconds since the epoch"),
            "used": ("number", "first use: seconds since the epoch; 0 for never"),
        },
    ),
    "refusals": (
        "Packets that an SA refused.",
        {
            "replay_window": ("number", "too late for the window"),
            "replay": ("number", "seen before"),
            "integrity": ("number", "with a wrong tag"),
        },
    ),
    "encap": (
        "UDP or TCP around ESP.",
        {
            "sport": ("number", "source port"),
            "dport": ("number", "destination port"),
            "kind": ("text", "espinudp, espinudp-non-ike, espintcp"),
            "oa?": ("text", "the original address"),
        },
    ),
    "offload": (
        "Hardware offload.",
        {"ifindex": ("number", "the device"), "flags?": ("[text]", "ipv6, inbound, packet")},
    ),
    "iptfs": (
        "IP-TFS, what was set of it.",
        {
            "drop_time?": ("number", "microseconds"),
            "reorder_window?": ("number", "packets"),
            "dont_frag": ("flag", "whether packets stay whole"),
            "init_delay?": ("number", "microseconds"),
            "max_queue?": ("number", "bytes"),
            "packet_size?": ("number", "bytes"),
        },
    ),
    "context": (
        "A security context.",
        {"text": ("text", "as the LSM writes it"), "doi": ("number", "domain of interpretation")},
    ),
    "policy": (
        "A policy.",
        {
            "dir": ("text", "in, out, fwd; a number for a socket's own"),
            "sel": ("selector", "the packets it is for"),
            "action": ("text", "allow or block"),
            "priority": ("number", "the lowest wins"),
            "templates?": ("[template]", "the SAs it asks for, innermost first"),
            "mark?": ("mark", "the packets' mark"),
            "if_id": ("number", "its XFRM interface; 0 for none"),
            "index": ("number", "the number that the kernel gave it"),
            "type": ("text", "main or sub"),
            "flags?": ("[text]", "localok, icmp, cpu-acquire"),
            "share": ("text", "any, session, user, unique"),
            "limits?": ("limits", "when it expires"),
            "context?": ("context", "its security context"),
            "offload?": ("offload", "the device that does its work"),
            "counters?": ("counters", "what went through it"),
        },
    ),
    "template": (
        "An SA that a policy asks for.",
        {
            "src": ("text", "the tunnel's near end"),
            "dst": ("text", "its far end"),
            "proto": ("text", "esp, ah, comp"),
            "mode": ("text", "transport, tunnel, beet, iptfs"),
            "reqid": ("number", "of the SA; 0 for any"),
            "spi": ("number", "of the SA; 0 for any"),
            "optional": ("flag", "whether packets pass without it"),
            "share": ("text", "any, session, user, unique"),
            "aalgos": ("number", "mask of algorithms for integrity"),
            "ealgos": ("number", "mask of algorithms for encryption"),
            "calgos": ("number", "mask of algorithms for compression"),
        },
    ),
    "defaults": (
        "What becomes of packets that no policy matches: accept or block.",
        {
            "in": ("text", "packets that come in"),
            "fwd": ("text", "packets that are forwarded"),
            "out": ("text", "packets that go out"),
        },
    ),
    "progress": (
        "Where an SA stands (NEWAE).",
        {
            "id": ("SA name", "which SA"),
            "saddr": ("text", "its source address"),
            "reqid": ("number", "its reqid"),
            "cause": ("number", "XFRM_AE_* bits: 16 replay, 32 timer, 64 policy"),
            "oseq": ("number", "last number sent"),
            "seq": ("number", "highest number received"),
            "bitmap": ("text", "hexadecimal"),
            "window?": ("number", "packets that may come late"),
            "counters?": ("counters", "what went through it"),
            "replay_notify?": ("number", "packets between two of these"),
            "notify_timer?": ("number", "tenths of a second between two of these"),
            "if_id": ("number", "its XFRM interface"),
            "dir?": ("text", "in or out"),
            "cpu?": ("number", "the one CPU it is for"),
        },
    ),
    "address move": (
        "One pair of addresses that is replaced.",
        {
            "old_saddr": ("text", "source before"),
            "old_daddr": ("text", "destination before"),
            "new_saddr": ("text", "source afterwards"),
            "new_daddr": ("text", "destination afterwards"),
            "proto": ("text", "of the SAs"),
            "mode": ("text", "of the SAs"),
            "reqid": ("number", "of the SAs; 0 for any"),
        },
    ),
    "key managers' addresses": (
        "Where the key managers talk to each other afterwards.",
        {"local": ("text", "ours"), "remote": ("text", "theirs")},
    ),
}

# By the class of the event; ``port`` and ``seq`` are in all of them.
EVENTS: dict[str, Rows] = {
    "SaAdded": {"sa": ("SA", "the SA")},
    "SaUpdated": {"sa": ("SA", "the SA as it is now")},
    "SaDeleted": {"sa": ("SA", "the SA as it was")},
    "SaExpired": {"sa": ("SA", "the SA"), "hard": ("flag", "whether it is gone")},
    "SaProgress": {"state": ("progress", "where it stands")},
    "SasFlushed": {"proto": ("text", "of which protocol; any for all")},
    "SaMigrated": {
        "sa": ("SA name", "its name before"),
        "new_saddr": ("text", "source now"),
        "new_daddr": ("text", "destination now"),
        "reqid": ("number", "reqid now"),
        "sel": ("selector", "its selector now"),
        "flags": ("number", "XFRM_MIGRATE_STATE_* bits"),
        "encap?": ("encap or =remove", "as it is now; remove: it was taken away"),
        "mark?": ("mark", "the mark it is found by now"),
        "offload?": ("offload", "the device that does its work"),
        "set_mark?": ("mark", "the mark that its packets get"),
        "mapping_threshold": ("number", "seconds"),
        "nat_keepalive": ("number", "seconds"),
        "dir?": ("text", "in or out"),
    },
    "PolicyAdded": {"policy": ("policy", "the policy")},
    "PolicyUpdated": {"policy": ("policy", "the policy as it is now")},
    "PolicyDeleted": {
        "policy": ("policy", "the policy as it was"),
        "by_index": ("flag", "whether it was named by its index"),
    },
    "PolicyExpired": {"policy": ("policy", "the policy"), "hard": ("flag", "whether it is gone")},
    "PoliciesFlushed": {"type": ("text", "main, sub, any")},
    "PolicyMigrated": {
        "sel": ("selector", "which policy"),
        "dir": ("text", "its direction"),
        "moves": ("[address move]", "addresses before and now"),
        "type": ("text", "main or sub"),
        "encap?": ("encap", "as it is now"),
        "km_address?": ("key managers' addresses", "where they talk now"),
    },
    "MappingChanged": {
        "sa": ("SA name", "which SA"),
        "reqid": ("number", "its reqid"),
        "old_saddr": ("text", "the peer's address before"),
        "new_saddr": ("text", "and now"),
        "old_sport": ("number", "its port before"),
        "new_sport": ("number", "and now"),
    },
    "Acquire": {
        "sa": ("SA name", "the SA that is asked for"),
        "saddr": ("text", "its source"),
        "sel": ("selector", "of the packet"),
        "policy": ("policy", "that asks for it"),
        "number": ("number", "for the answer: acquire_seq"),
        "aalgos": ("number", "mask of algorithms for integrity"),
        "ealgos": ("number", "mask of algorithms for encryption"),
        "calgos": ("number", "mask of algorithms for compression"),
        "cpu?": ("number", "the one CPU it is for"),
    },
    "Reported": {
        "proto": ("text", "of the rule that was broken"),
        "sel": ("selector", "of the packet"),
        "address?": ("text", "care-of address"),
    },
    "DefaultsChanged": {"defaults": ("defaults", "as they are now")},
    "UnknownEvent": {
        "type": ("text", "of the message"),
        "raw": ("text", "its length"),
        "why": ("text", "what is wrong with it"),
    },
}
