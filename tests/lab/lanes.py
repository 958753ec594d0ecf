"""A kernel and an engine side by side: what the fuzzer's tests are pasted into."""

from __future__ import annotations

from pyxfrm.abi.profiles import LINUX_7_2
from pyxfrm.lab import Lab
from pyxfrm.lab.fuzz import as_test, compare, imitate, script_of
from pyxfrm.lab.generator import Op

__all__ = ["Lanes", "Op"]


class Lanes:
    """Linux 7.2 in the lab, and the engine under its profile."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def agree(self, *ops: Op) -> None:
        """Both must answer these sends alike."""
        script = script_of(ops)
        kernel = self.lab.run_script(script)
        found = compare(ops, kernel, imitate(script, kernel, LINUX_7_2))
        assert found is None, as_test(found, "found")
