"""Every refusal that user space can provoke is provoked, on the real kernel."""

from __future__ import annotations

import pytest

from tests.conformance.extack import TEXTS, told
from tests.conformance.lanes import Results, transcript


@pytest.mark.kernel
def test_every_reachable_text_is_reached(linux72: Results) -> None:
    heard = told(transcript(result) for result in linux72.values())
    reached = {one.text for one in TEXTS if any(one.matches(text) for text in heard)}
    assert {one.text for one in TEXTS if not one.why_not} - reached == set()
    assert {one.text for one in TEXTS if one.why_not} & reached == set(), "reachable after all"


def test_the_list_is_whole_and_its_reasons_are_few() -> None:
    assert len({one.text for one in TEXTS}) == len(TEXTS) == 152
    unreachable = [one for one in TEXTS if one.why_not]
    assert len(unreachable) < 0.15 * len(TEXTS)
