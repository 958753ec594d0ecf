"""The example of docs/tunnel.md is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tunnel.pair import free_port

TEXT = (Path(__file__).parents[2] / "docs" / "tunnel.md").read_text()


def test_the_example_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(code.replace("14500", str(free_port())), "docs/tunnel.md", "exec"), {})
    sent, lost, twice, via = capsys.readouterr().out.split(maxsplit=3)
    assert int(sent) > 100
    assert (lost, twice) == ("0", "0")
    assert "127.0.0.3" in via
