"""The framing of an SA by its mode."""

from __future__ import annotations

from pyxfrm.esp.association import Association, Mode
from pyxfrm.esp.beet import Beet
from pyxfrm.esp.framing import Framing
from pyxfrm.esp.transport import Transport
from pyxfrm.esp.tunnel import Tunnel

__all__ = ["make_framing"]


def make_framing(sa: Association) -> Framing:
    """Tunnel, Transport or Beet."""
    if sa.mode is Mode.TUNNEL:
        return Tunnel(sa)
    return Transport(sa) if sa.mode is Mode.TRANSPORT else Beet(sa)
