"""What is asked of a machine beside netlink."""

from __future__ import annotations

import pytest

from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.relocation.ends import KernelEnd


@pytest.mark.parametrize(
    ("text", "counters"),
    [
        (
            "XfrmInError                     0\nXfrmOutPolBlock                 17\n",
            {"InError": 0, "OutPolBlock": 17},
        ),
        ("", {}),
        ("no counters here", {}),
        (None, {}),
    ],
    ids=["as it is", "empty", "something else", "none"],
)
def test_counters_by_name(
    text: str | None, counters: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = KernelEnd(xfrm=Xfrm.engine(Engine()))

    def read(path: str) -> str:
        assert path.endswith("/net/xfrm_stat")
        if text is None:
            raise FileNotFoundError(2, "No such file or directory")
        return text

    monkeypatch.setattr(end, "read", read)
    assert end.counters() == counters
