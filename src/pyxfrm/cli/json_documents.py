"""Every JSON document that the ``xfrm`` command writes, and the objects in them that are no SAs, policies or events (:mod:`pyxfrm.cli.json_table`)."""

from __future__ import annotations

from typing import NamedTuple

from pyxfrm.cli import json_table
from pyxfrm.cli.json_table import Rows

__all__ = ["DOCUMENTS", "Document", "OBJECTS"]


class Document(NamedTuple):
    """What a command writes. ``rows``: its members beside ``schema``; ``lines``: it writes many, one a line."""

    command: str
    about: str
    rows: Rows
    lines: bool = False


_TEXT_COUNTS: Rows = {
    "bytes": ("number", "through it"),
    "packets": ("number", "through it"),
}
_CUT_SHORT: Rows = {
    "error?": (
        "text",
        "why the list may lack entries or have some twice; the exit status is not 0",
    ),
}
_PACKET_COUNTS: Rows = {
    "received": ("number", "packets that arrived"),
    "duplicates?": ("number", "of them, such as had arrived before"),
    "latency_ms?": ("real", "of the last one, milliseconds"),
    "longest_gap_ms?": ("real", "between two of them, milliseconds"),
    "via?": ("text", "over which addresses the last one came"),
}

OBJECTS: dict[str, tuple[str, Rows]] = {
    **json_table.OBJECTS,
    "finding": (
        "What doctor found.",
        {
            "rule": ("text", "what was looked for"),
            "severity": ("=error|warning|note", "how bad it is"),
            "subject": ("text", "which SA or policy"),
            "reason": ("text", "why it matters"),
            "next": ("text", "what to do"),
        },
    ),
    "counter": (
        "A counter of /proc/net/xfrm_stat.",
        {
            "counter": ("text", "the kernel's name"),
            "value": ("number", "packets; with --watch, by how many it grew"),
            "likely?": ("text", "what mostly makes it count"),
            "next?": ("text", "what to look at, or to do"),
        },
    ),
    "text record": (
        "What a pasted text says of an SA (kind state) or a policy (kind policy). Of keys there is the length.",
        {
            "kind": ("=state|policy", "which of the two"),
            "line": ("number", "where it begins in the text"),
            "src?": ("text", "an SA's source"),
            "dst?": ("text", "an SA's destination"),
            "proto?": ("text", "an SA's protocol"),
            "spi?": ("number", "an SA's SPI"),
            "reqid?": ("number", "an SA's reqid"),
            "mode?": ("text", "an SA's mode"),
            "window?": ("number", "replay window"),
            "acquire_seq?": ("number", "the ACQUIRE that it answers"),
            "flags?": ("[text]", "as written there"),
            "extra_flags?": ("[text]", "as written there"),
            "mark?": ("mark", "its mark"),
            "output_mark?": ("mark", "the mark that its packets get"),
            "algorithms?": ("[text algorithm]", "its algorithms"),
            "encap?": ("text encap", "what ESP is carried in"),
            "seq?": ("number", "highest number received"),
            "oseq?": ("number", "last number sent"),
            "bitmap?": ("text", "hexadecimal, as it stands there"),
            "if_id?": ("number", "its XFRM interface"),
            "dir?": ("text", "direction; of a socket's own policy: socket in, socket out"),
            "sel?": ("text selector", "the packets it is for"),
            "tfcpad?": ("number", "bytes that its packets are padded to"),
            "pcpu_num?": ("number", "the one CPU it is for"),
            "coa?": ("text", "care-of address"),
            "lastused?": ("text", "date and time"),
            "context?": ("text", "its security context"),
            "offload?": ("{text}", "dev, dir, mode"),
            "limits?": ("limits", "when it expires"),
            "counters?": ("text counters", "what went through it"),
            "added?": ("text", "date and time"),
            "used?": ("text", "date and time"),
            "refusals?": ("{number}", "replay-window, replay, failed"),
            "other?": ("[text]", "lines that nobody knows, long numbers hidden"),
            "action?": ("text", "a policy's action"),
            "index?": ("number", "a policy's number"),
            "priority?": ("number", "a policy's priority"),
            "ptype?": ("text", "main or sub"),
            "share?": ("text", "a policy's share"),
            "templates?": ("[text template]", "a policy's templates"),
        },
    ),
    "text algorithm": (
        "An algorithm in a text.",
        {
            "kind": ("text", "aead, auth, auth-trunc, comp, enc"),
            "name": ("text", "the kernel's name"),
            "key_bits?": ("number", "absent where the text hides the key"),
            "icv_bits?": ("number", "length of the tag"),
        },
    ),
    "text encap": (
        "An encapsulation in a text.",
        {
            "type": ("text", "espinudp and others"),
            "sport": ("number", "source port"),
            "dport": ("number", "destination port"),
            "addr?": ("text", "the original address"),
        },
    ),
    "text selector": (
        "A selector in a text.",
        {
            "src": ("text", "network"),
            "dst": ("text", "network"),
            "proto?": ("text", "name or number"),
            "sport?": ("text", "source port"),
            "dport?": ("text", "destination port"),
            "type?": ("number", "ICMP type"),
            "code?": ("number", "ICMP code"),
            "key?": ("text", "GRE key"),
            "dev?": ("text", "interface"),
            "uid?": ("number", "user"),
        },
    ),
    "text counters": ("Counters in a text.", _TEXT_COUNTS),
    "text template": (
        "A template in a text.",
        {
            "src": ("text", "the tunnel's near end"),
            "dst": ("text", "its far end"),
            **{
                f"{name}?": (kind, "as written there")
                for name, kind in (
                    ("proto", "text"),
                    ("spi", "number"),
                    ("reqid", "number"),
                    ("mode", "text"),
                    ("level", "text"),
                    ("share", "text"),
                    ("enc-mask", "text"),
                    ("auth-mask", "text"),
                    ("comp-mask", "text"),
                )
            },
        },
    ),
    "replayed file": (
        "A recording against the engine.",
        {
            "file": ("text", "its name"),
            "profile": ("text", "the kernel that the engine was"),
            "messages": ("number", "requests that were sent"),
            "replies": ("tally", "answers"),
            "events": ("tally", "multicasts"),
            "inputs": ("{number}", "what was taken from the recording, by kind"),
            "differences": ("[difference]", "what was not the same"),
        },
    ),
    "tally": (
        "How many were the same.",
        {
            "compared": ("number", "all"),
            "identical": ("number", "to the last byte"),
            "differing": ("number", "the others"),
        },
    ),
    "difference": (
        "A message that differs, is missing or is extra.",
        {
            "line": ("number", "of the recording"),
            "netns": ("text", "the network namespace"),
            "kind": ("text", "differs, missing, extra"),
            "type": ("text", "of the message"),
            "fields": ("[{any}]", "field, expected, got"),
        },
    ),
    "plan": (
        "What a relocation would do.",
        {
            "wish": ("text", "what was asked for"),
            "strategy": ("text", "how"),
            "sas": ("[planned SA]", "those that move"),
            "policies": ("[{any}]", "child, policy"),
            "stays": ("[{any}]", "what, why"),
            "not_carried_over": ("[text]", "what a rebuilt SA will lack"),
            "warnings": ("[text]", "worth knowing before"),
            "refusals": ("[{any}]", "why, text: it is not done"),
            "record": ("any", "the plan as the journal has it"),
        },
    ),
    "outcome": (
        "How a relocation ended.",
        {
            "state": ("text", "moved, as before, lost and blocked"),
            "lost": ("[text]", "SAs to re-establish"),
            "blocked": ("[text]", "policies that block now"),
            "troubles": ("[text]", "what went wrong on the way"),
            "account": ("[{number}]", "drops by counter, an object an end"),
        },
    ),
    "relocation": (
        "A relocation of the journal.",
        {
            "id": ("number", "its number"),
            "netns": ("[text]", "the namespace of each end, or its engine"),
            "wishes": ("[text]", "what was asked for, by end"),
            "state": (
                "text",
                "planned, moving, returning, blocking, moved, as before, lost and blocked",
            ),
            "running": ("flag", "a process works on it"),
            "abandoned": ("flag", "the machine was restarted in its middle"),
            "unfinished": ("flag", "resume or abort it"),
            "began": ("real", "when, seconds since the epoch"),
            "ended?": ("real", "when; absent before"),
            "put_back": ("[text]", "settings that are still to be put back"),
            "outcome?": ("outcome", "how it ended"),
        },
    ),
    "step outcome": (
        "What a step of a netlink script came to.",
        {
            "errno?": ("number", "why it failed; absent if it did not"),
            "received?": ("[datagram]", "of a step that receives, in the order of arrival"),
            "text?": ("text", "the file, of a step that reads one"),
        },
    ),
    "datagram": (
        "A datagram that a socket received.",
        {
            "data": ("text", "its bytes, hexadecimal"),
            "port?": ("number", "the sender's; absent for the kernel"),
            "groups?": ("number", "mask of the groups it came through; absent for none"),
            "errno?": ("number", "why it was lost; then there is no data in it"),
        },
    ),
    "moved SA": (
        "An SA that moved.",
        {
            "id": ("SA name", "its name now"),
            "warning": ("text", "what the kernel said all the same; mostly empty"),
        },
    ),
    "SA numbers": (
        "The table of SAs.",
        {
            "sas": ("number", "that there are"),
            "buckets": ("number", "of the hash table"),
            "max_buckets": ("number", "that it can have"),
        },
    ),
    "policy numbers": (
        "The tables of policies.",
        {
            "policies": ("{number}", "in, out, fwd"),
            "socket_policies": ("{number}", "in, out, fwd"),
            "buckets": ("number", "of the hash table"),
            "max_buckets": ("number", "that it can have"),
            "thresholds4": (
                "[number]",
                "local and remote prefix lengths from which on IPv4 is hashed",
            ),
            "thresholds6": ("[number]", "the same for IPv6"),
        },
    ),
    "abilities": (
        "What a kernel can do.",
        {
            "migrate_state": (
                "=available|built_without|too_old|cannot_tell",
                "whether an SA can be moved in one step",
            ),
            "sign": ("text", "what told"),
            "exact_marks": (
                "flag or null",
                "whether marks are compared exactly; null: cannot tell",
            ),
        },
    ),
    "stream": (
        "Packets that a tunnel's end sends.",
        {
            "sent": ("number", "so far"),
            "left_out": ("number", "that were due, and not sent"),
            "under_way_or_lost?": ("number", "sent, and not seen yet"),
        }
        | {f"{name.rstrip('?')}?": row for name, row in _PACKET_COUNTS.items()},
    ),
    "arrivals": (
        "Packets of a stream from elsewhere.",
        {"at": ("text", "which end"), "stream": ("number", "its number"), **_PACKET_COUNTS},
    ),
    "pong": (
        "An answer to a ping.",
        {
            "seq": ("number", "its number"),
            "bytes": ("number", "its size"),
            "ms": ("real", "until it came"),
            "via": ("text", "over which addresses"),
        },
    ),
    "planned SA": (
        "An SA that would move.",
        {
            "dir": ("text", "in or out"),
            "child": ("any", "which pair of SAs it belongs to"),
            "from": ("text", "its name now"),
            "to": ("text", "its name afterwards"),
        },
    ),
    "tunnel": (
        "A tunnel's end that serves on this machine.",
        {
            "name": ("text", "for --engine"),
            "path": ("text", "its socket"),
            "serves": ("flag", "whether it answers"),
        },
    ),
    "tunnel's end": (
        "What an end counted.",
        {
            "name": ("text", "which end"),
            "packets_out": ("number", "left under protection"),
            "wire_out": ("number", "bytes of payloads sent"),
            "packets_in": ("number", "came out of the tunnel"),
            "wire_in": ("number", "bytes of payloads received"),
            "clear_out": ("number", "dropped: no policy protects them"),
            "clear_in": ("number", "dropped: came in under no SA"),
            "unsent": ("{number}", "not taken by the network, by errno"),
            "late": ("number", "came to a place that an SA had left"),
            "ike": ("number", "datagrams of IKE"),
            "keepalives_in": ("number", "of a NAT"),
            "keepalives_out": ("number", "of a NAT"),
            "too_big": ("number", "answered with an ICMP error about their size"),
            "moves": ("number", "changes of its places"),
            "xfrm_stat": ("{number}", "its counters that moved"),
            "problems": ("[text]", "what went wrong"),
        },
    ),
}

_EVENT: Rows = {
    "event": ("text", "its kind, see below"),
    "port": ("number", "of whoever caused it; 0 for the kernel itself"),
    "seq": ("number", "of the request that caused it"),
    "nsid?": ("number", "all-nsid: the namespace that it comes from; absent for this one"),
    "time?": ("real", "-t, -ts: when it came, seconds since the epoch"),
}

DOCUMENTS = (
    Document(
        "state list",
        "SAs, newest first, written as they come",
        {"states": ("[SA]", "all that match"), **_CUT_SHORT},
    ),
    Document("state get", "one SA; of state allocspi, too", {"state": ("SA", "it")}),
    Document(
        "state migrate",
        "an SA that moved",
        {"moved": ("moved SA", "it")},
    ),
    Document(
        "state count",
        "the table of SAs",
        {"count": ("SA numbers", "they")},
    ),
    Document(
        "policy list",
        "policies, written as they come",
        {"policies": ("[policy]", "all that match"), **_CUT_SHORT},
    ),
    Document("policy get", "one policy", {"policy": ("policy", "it")}),
    Document(
        "policy count",
        "the tables of policies",
        {"count": ("policy numbers", "they")},
    ),
    Document(
        "policy getdefault",
        "packets that no policy matches",
        {"defaults": ("defaults", "by direction")},
    ),
    Document("monitor", "an event", _EVENT, lines=True),
    Document(
        "probe",
        "what a kernel can do",
        {"probe": ("abilities", "they")},
    ),
    Document("doctor", "what is wrong, the worst first", {"doctor": ("[finding]", "all of it")}),
    Document(
        "stat",
        "counters; with --watch one a reading, those that grew",
        {"stat": ("[counter]", "in the kernel's order")},
    ),
    Document("show", "a pasted text", {"show": ("[text record]", "in its order")}),
    Document(
        "replay",
        "recordings against the engine",
        {
            "identical": ("flag", "whether everything was the same"),
            "files": ("[replayed file]", "a recording each"),
            "refused": ("[{text}]", "file, why: what is no recording"),
        },
    ),
    Document("relocate --dry-run", "plans, an end each", {"plans": ("[plan]", "all of them")}),
    Document(
        "relocate",
        "what was done",
        {"plans": ("[plan]", "an end each"), "outcome": ("outcome", "how it ended")},
    ),
    Document(
        "relocate --history",
        "the last relocations, newest first; of --status: what is unfinished",
        {"relocations": ("[relocation]", "all of them")},
    ),
    Document(
        "relocate --events",
        "a step",
        {
            "step": ("number", "its number"),
            "at": ("real", "seconds since the beginning"),
            "took": ("real", "seconds"),
            "command": ("text or [text]", "what was done"),
            "reply": ("text", "what came of it"),
        },
        lines=True,
    ),
    Document("tunnel list", "ends that serve here", {"tunnels": ("[tunnel]", "all of them")}),
    Document(
        "tunnel run",
        "an end, when it stops; of tunnel pair, too",
        {"end": ("tunnel's end", "it")},
        lines=True,
    ),
    Document(
        "tunnel run --json",
        "a stream of packets, each second",
        {"stream": ("stream", "so far")},
        lines=True,
    ),
    Document(
        "tunnel run --json",
        "a stream from elsewhere, each second",
        {"arrived": ("arrivals", "so far")},
        lines=True,
    ),
    Document(
        "tunnel run --json",
        "an answer to a ping",
        {"pong": ("pong", "it")},
        lines=True,
    ),
    Document(
        "lab script",
        "what came of a netlink script; without --json, too",
        {"outcomes": ("[step outcome]", "one for each step")},
    ),
    Document(
        "lab info",
        "a kernel of the lab",
        {
            "release": ("text", "its version"),
            "package": ("text", "where it comes from; empty for your own"),
            "image": ("text", "the program"),
            "boot_seconds": ("real", "until it was ready"),
            "processors": ("number", "of the guest"),
            "memory": ("number", "of the guest, KiB"),
            "migrate_state": ("text", "whether it has the message"),
            "options": ("{text}", "of its configuration: y, m, n"),
            "modules": ("[text]", "loaded now"),
        },
    ),
)
