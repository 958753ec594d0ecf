"""The conversation that docs/lab.md shows is one."""

from __future__ import annotations

import json
import re

from pyxfrm.lab import imitation
from pyxfrm.lab.script import Script
from pyxfrm.wire.describe import summary
from tests.docs.pages import ROOT


def test_the_conversation() -> None:
    (text,) = re.findall(r"(?ms)^```json\n(.*?)^```", (ROOT / "docs" / "lab.md").read_text())
    transcript = imitation.run(Script.from_json(json.loads(text)))
    assert [outcome.errno for outcome in transcript.outcomes] == [0, 0, 0]
    told = [summary(data) for data in transcript.datagrams]
    assert told == ["NLMSG_ERROR 0 to XFRM_MSG_FLUSHSA"]
