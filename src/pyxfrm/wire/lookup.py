"""The attributes of a message by number, found once and decoded when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyxfrm.abi.messages import ATTRIBUTES, Payload
from pyxfrm.wire.attrs import decode_payload, spans

__all__ = ["Attributes"]


class Attributes:
    """Attributes of ``data`` from byte ``start`` on. Of a repeated one the last counts, as in the kernel."""

    __slots__ = ("_data", "_found", "_space")

    def __init__(
        self, data: bytes, start: int, space: Mapping[int, tuple[str, Payload]] = ATTRIBUTES
    ) -> None:
        self._data = data
        self._space = space
        self._found = {number: (at, end) for _, number, at, end in spans(data, start, len(data))}

    def __contains__(self, number: int) -> bool:
        return number in self._found

    def get(self, number: int) -> Any:
        """The attribute's value, None if it is absent. MalformedError if it is too short."""
        span = self._found.get(number)
        if span is None:
            return None
        return decode_payload(number, self._data[span[0] : span[1]], self._space)
