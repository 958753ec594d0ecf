"""What a move leaves undone, or has still to do: rules of :mod:`pyxfrm.client.doctor`.

An address that has gone from this machine while SAs live by it; policies that block where they once protected; packets that are told to wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyxfrm.client.doctor import Facts, Finding, Rule, Seen, Severity
from pyxfrm.model import Action, Address, SaDir, SaId

__all__ = ["RULES"]


class GoneAddresses(Rule):
    """SAs whose end here is an address that no interface has. One finding an address."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._gone: dict[Address, tuple[SaId, int]] = {}

    def see(self, seen: Seen) -> Iterable[Finding]:
        """Note its address, if it should be here and is not."""
        here = self.facts.addresses
        if here is None or seen.sa.saddr is None:
            return ()
        role = self.facts.role(seen.sa)
        ours = seen.sa.id.daddr if role is SaDir.IN else seen.sa.saddr
        if role is not None and not (ours.is_any or ours in here):
            first, count = self._gone.get(ours, (seen.sa.id, 0))
            self._gone[ours] = first, count + 1
        return ()

    def end(self) -> Iterator[Finding]:
        """Tell of each address."""
        for address, (first, count) in self._gone.items():
            rest = f" and {count - 1} more" if count > 1 else ""
            yield Finding(
                "gone-address",
                Severity.WARNING,
                f"SA {first}{rest}",
                f"its end here is {address}, which is on no interface: answers do not come here",
                f"move it to an address that is: xfrm relocate --from-local {address} --to-local ADDR",
            )


class Blocks(Rule):
    """Policies that block and have templates: so a relocation leaves them that was cut off, or that lost SAs."""

    def end(self) -> Iterator[Finding]:
        """Look at policies."""
        for record in self.facts.policies:
            policy = record.policy
            if policy.action == Action.BLOCK and policy.templates:
                yield Finding(
                    "blocked",
                    Severity.ERROR,
                    f"policy {policy.id}",
                    "it blocks, and has templates: a relocation was cut off, or it lost the SAs",
                    "see `xfrm relocate --status`; if nothing is unfinished: make the SAs anew, then `xfrm policy update` it",
                )


class Waiting(Rule):
    """``net.core.xfrm_larval_drop`` is 0."""

    def end(self) -> Iterator[Finding]:
        """Look at the setting."""
        if self.facts.larval_drop == "0":
            yield Finding(
                "larval-drop",
                Severity.NOTE,
                "net.core.xfrm_larval_drop",
                "it is 0: packets without an SA wait, 100 a policy, and are not dropped at once; a relocation that is under way or was cut off sets it so",
                "see `xfrm relocate --status`; the kernel's default is 1",
            )


RULES: tuple[type[Rule], ...] = (GoneAddresses, Blocks, Waiting)
