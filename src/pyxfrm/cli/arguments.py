"""argparse with this command's manners: what makes no sense is a :class:`pyxfrm.errors.UsageError` of one line, not a page of usage."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pyxfrm.errors import UsageError

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """For the commands that are not in the grammar. ``prog`` begins with ``xfrm``."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        name = self.prog.removeprefix("xfrm ")
        raise UsageError(f"{name}: {message}; `{self.prog} --help` tells more")
