"""The cases, one file per family of messages. A file that is here is found."""

from importlib import import_module
from pkgutil import iter_modules

from tests.conformance.talk import CASES

__all__ = ["CASES"]

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
