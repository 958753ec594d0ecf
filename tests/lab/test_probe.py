"""What the kernels say of themselves."""

from __future__ import annotations

import pytest

from pyxfrm.lab import Lab
from pyxfrm.lab.probe import OPTIONS

pytestmark = pytest.mark.kernel


def test_a_survey_of_7_2(lab72: Lab) -> None:
    facts = lab72.call("pyxfrm.lab.probe:survey")
    assert facts["release"] == lab72.release
    assert facts["migrate_state"] == "yes"
    assert facts["processors"] == 1
    assert facts["memory"] > 200_000
    assert {"xfrm_user", "esp4", "esp6", "af_key"} <= set(facts["modules"])
    assert set(facts["options"]) == set(OPTIONS)
    assert facts["options"]["XFRM_MIGRATE"] == "y"
    assert facts["options"]["INET_ESP"] == "m"
    assert facts["options"]["XFRM_INTERFACE"] == "n"


def test_a_survey_of_6_12(lab612: Lab) -> None:
    facts = lab612.call("pyxfrm.lab.probe:survey")
    assert facts["migrate_state"] == "no"
    assert facts["options"]["XFRM_MIGRATE"] == "y"
