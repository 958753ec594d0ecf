"""argparse with this command's manners: what makes no sense is a :class:`pyxfrm.errors.UsageError` of one line, not a page of usage."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pyxfrm.abi.profiles import PROFILES, profile_named
from pyxfrm.errors import UsageError

__all__ = ["Parser", "add_profile"]


class Parser(argparse.ArgumentParser):
    """For the commands that are not in the grammar. ``prog`` begins with ``xfrm``."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        name = self.prog.removeprefix("xfrm ")
        raise UsageError(f"{name}: {message}; `{self.prog} --help` tells more")


def _profile(text: str) -> str:
    try:
        return profile_named(text).name
    except UsageError as why:
        raise argparse.ArgumentTypeError(str(why)) from None


def add_profile(parser: argparse.ArgumentParser, about: str, default: str | None = None) -> None:
    """``--profile NAME``; its value is the name of a profile, however it was written."""
    parser.add_argument(
        "--profile",
        metavar="NAME",
        type=_profile,
        choices=list(PROFILES),
        default=default,
        help=f"{about}: {', '.join(PROFILES)}",
    )
