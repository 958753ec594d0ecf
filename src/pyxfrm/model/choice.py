"""What a migration request can say of a property instead of giving a value.

``INHERIT``       the SA keeps what it has
``REMOVE``        the SA shall have none
``HOST_TO_HOST``  the selector of two hosts follows the SA's addresses

Each is a type of its own, so that none of them can be mistaken for a value, for ``None`` or for zero.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

__all__ = ["HOST_TO_HOST", "HostToHost", "INHERIT", "Inherit", "REMOVE", "Remove"]


class _Choice(Enum):
    INHERIT = "INHERIT"
    REMOVE = "REMOVE"
    HOST_TO_HOST = "HOST_TO_HOST"

    def __repr__(self) -> str:
        return self.value


Inherit = Literal[_Choice.INHERIT]
Remove = Literal[_Choice.REMOVE]
HostToHost = Literal[_Choice.HOST_TO_HOST]

INHERIT: Final = _Choice.INHERIT
REMOVE: Final = _Choice.REMOVE
HOST_TO_HOST: Final = _Choice.HOST_TO_HOST
