"""Commands and replies in words: for progress, event lines, playbooks. No keys are in them.

>>> print(describe(Wait(0.001)))
wait 1 ms
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from pyxfrm.model import HOST_TO_HOST, INHERIT, REMOVE, Encap, Migration, Policy, PolicyId, SaId
from pyxfrm.relocation.commands import (
    DONE,
    UNKNOWN,
    AddSa,
    Batch,
    Below,
    Block,
    Command,
    DualAccept,
    Failed,
    InstallPolicy,
    Journal,
    KernelCommand,
    Look,
    Migrate,
    MigrateByPolicy,
    ReadCounters,
    ReadSa,
    RemovePolicy,
    RemoveSa,
    Script,
    SetSysctl,
    Sight,
    Unblock,
    UpdatePolicy,
    Wait,
)

__all__ = ["describe", "in_brief", "kernel_words", "reply_words"]


def describe(command: Command) -> str:
    """A command in words; a script has a line for each request."""
    return _WORDS[type(command)](command)


def kernel_words(command: KernelCommand) -> str:
    """One request to the kernel in words."""
    return _KERNEL[type(command)](command)


def _policy(policy: Policy) -> str:
    text = f"{policy.dir} {policy.sel.saddr} {policy.sel.daddr}"
    for template in policy.templates:
        text += f" via {template.saddr}>{template.daddr}"
        text += f"/{template.reqid}" if template.reqid else ""
    return text


def _name(name: PolicyId) -> str:
    if name.sel is None:
        return f"{name.dir} index {name.index}"
    return f"{name.dir} {name.sel.saddr} {name.sel.daddr}"


def _sa(name: SaId) -> str:
    return f"{name.spi:08x}@{name.daddr}"


def _migration(move: Migration) -> str:
    text = f"migrate {_sa(move.sa)} to {move.new_saddr}>{move.new_daddr}/{move.reqid}"
    if isinstance(move.encap, Encap):
        text += f" encap {move.encap.sport}:{move.encap.dport}"
    elif move.encap is REMOVE:
        text += " encap none"
    if move.offload is not INHERIT:
        text += " in software"
    return text + (" host-to-host" if move.sel is HOST_TO_HOST else "")


_KERNEL: dict[type[Any], Callable[[Any], str]] = {
    Block: lambda c: f"block {_policy(c.policy)}" + (" by overlay" if c.overlay else ""),
    Unblock: lambda c: f"unblock {_name(c.policy)}",
    InstallPolicy: lambda c: f"add {_policy(c.policy)}",
    UpdatePolicy: lambda c: f"set {_policy(c.policy)}",
    RemovePolicy: lambda c: f"remove {_name(c.policy)}",
    Migrate: lambda c: _migration(c.migration),
    MigrateByPolicy: lambda c: (
        f"migrate by policy {c.migration.dir} {c.migration.sel.saddr} {c.migration.sel.daddr}"
    ),
    AddSa: lambda c: f"copy to {_sa(c.sa.id)} from {c.sa.saddr} oseq {c.sa.replay.oseq}",
    RemoveSa: lambda c: f"delete {_sa(c.sa)}",
    Below: lambda c: f"is {_sa(c.sa)} below {c.number}",
}


def _script(script: Script) -> str:
    lines = ["script"]
    for part in script.parts:
        lines += [f"  {line}" for line in describe(part).splitlines()]
    return "\n".join(lines)


def _batch(batch: Batch) -> str:
    return "\n".join(
        [f"send to {batch.end}", *(f"  {kernel_words(command)}" for command in batch.commands)]
    )


_WORDS: dict[type[Any], Callable[[Any], str]] = {
    Batch: _batch,
    Script: _script,
    Look: lambda c: f"look at {c.end}",
    ReadSa: lambda c: f"read {_sa(c.sa)} at {c.end}",
    Wait: lambda c: f"wait {1000 * c.seconds:g} ms",
    Journal: lambda c: f"journal {c.state.value}" + (f": {c.note}" if c.note else ""),
    SetSysctl: lambda c: (
        f"put back {c.name} at {c.end}" if c.value is None else f"set {c.name} {c.value} at {c.end}"
    ),
    DualAccept: lambda c: (
        f"{'take' if c.on else 'no longer take'} {c.rule.old} for {c.rule.new} at {c.end}"
    ),
    ReadCounters: lambda c: f"read counters at {c.end}",
}


_COUNTED: dict[type[Any], tuple[str, str, str]] = {
    Block: ("block", "policy", "policies"),
    Unblock: ("unblock", "policy", "policies"),
    InstallPolicy: ("add", "policy", "policies"),
    UpdatePolicy: ("set", "policy", "policies"),
    RemovePolicy: ("remove", "policy", "policies"),
    Migrate: ("migrate", "SA", "SAs"),
    MigrateByPolicy: ("migrate", "policy", "policies"),
    AddSa: ("copy", "SA", "SAs"),
    RemoveSa: ("delete", "SA", "SAs"),
    Below: ("check", "SA", "SAs"),
}


def in_brief(command: Command) -> str:
    """A command in one line: requests of a kind are counted, those of the other end of a pair follow ``end 1:``.

    >>> in_brief(Script((Wait(0.001), Batch(()))))
    'wait 1 ms'
    """
    if not isinstance(command, Script | Batch):
        return describe(command)
    parts = command.parts if isinstance(command, Script) else (command,)
    if not any(isinstance(part, Batch) and part.end for part in parts):
        return ", ".join(_counted(parts))
    said = []
    for end, group in groupby(parts, lambda part: None if isinstance(part, Wait) else part.end):
        said.append(("" if end is None else f"end {end}: ") + ", ".join(_counted(group)))
    return "; ".join(said)


def _counted(parts: Iterable[Batch | Wait]) -> Iterator[str]:
    commands = [c for part in parts for c in ((part,) if isinstance(part, Wait) else part.commands)]
    for kind, group in groupby(commands, type):
        if kind is Wait:
            yield from (describe(wait) for wait in group if isinstance(wait, Wait))
            continue
        verb, one, many = _COUNTED[kind]
        count = len(list(group))
        yield f"{verb} {count} {one if count == 1 else many}"


def reply_words(reply: Any) -> str:
    """A reply in words: short, for a line of a log."""
    if reply is None or reply is DONE:
        return "ok"
    if reply is UNKNOWN:
        return "no answer"
    if isinstance(reply, Failed):
        return f"refused: {reply.text}"
    if isinstance(reply, Sight):
        return f"{len(reply.sas)} SAs, {len(reply.policies)} policies"
    if isinstance(reply, tuple):
        bad = [
            reply_words(item) for item in reply if item is not DONE and reply_words(item) != "ok"
        ]
        return "; ".join(bad) or "ok"
    if isinstance(reply, dict):
        return f"{len(reply)} counters"
    return "read"
