"""How a handler says no: an errno, the extended-ACK text, and where in the request."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(Exception):  # noqa: N818  # not an error of ours: an answer
    """Ends a request with ``errno`` (positive).

    ``text``    extended-ACK text; None leaves the text that was set before, if any
    ``attr``    number of the attribute at fault: its offset goes into NLMSGERR_ATTR_OFFS
    """

    def __init__(self, errno: int, text: str | None = None, attr: int | None = None) -> None:
        super().__init__(errno, text)
        self.errno = errno
        self.text = text
        self.attr = attr
