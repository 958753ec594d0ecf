"""The lab's own exception."""

from __future__ import annotations

from pyxfrm.errors import XfrmError

__all__ = ["LabError"]


class LabError(XfrmError):
    """The lab cannot be had, did not start, or died: one line that says why and what to do.

    ``console`` is all that the guest's kernel had said when it died, "" otherwise.
    """

    def __init__(self, line: str, *, console: str = "") -> None:
        super().__init__(line)
        self.console = console
