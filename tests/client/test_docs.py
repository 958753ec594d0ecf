"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import pyxfrm.client

MODULES = [m.name for m in pkgutil.iter_modules(pyxfrm.client.__path__, "pyxfrm.client.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
