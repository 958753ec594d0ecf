"""Plans as text and back; keys cannot get in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import MalformedError
from pyxfrm.model import HOST_TO_HOST, INHERIT, REMOVE, Algorithm, Encap, Key, Mark, SaId
from pyxfrm.model.checks import as_seen
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.moves import Options, Strategy
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.record import CLASSES, dump, dumps, load, loads
from pyxfrm.relocation.wish import Select, Wish
from tests.relocation.world import A6, C6, KEY, A, B, C, child, host_pair, sa

WISHES = [
    Wish(local=A, new_local=B),
    Wish(local=A, new_local=A6, remote=C, new_remote=C6),
    Wish(
        local=A,
        encap=Encap(4500, 4501),
        select=Select(spis=frozenset({1, 2}), marks=frozenset({Mark(1, 255)})),
    ),
    Wish(local=A, encap=REMOVE, reqid=5),
]


@pytest.mark.parametrize("wish", WISHES, ids=str)
@pytest.mark.parametrize("make", [child, host_pair])
def test_a_plan_comes_back(wish: Wish, make: Any) -> None:
    sas, policies = make()
    plan = make_plan(wish, Facts(tuple(sas), tuple(policies)), Options(strategy=Strategy.RECREATE))
    text = dumps((plan,))
    assert loads(text) == (plan,)
    assert "\n" not in text
    assert KEY[:6].hex() not in text


@pytest.mark.parametrize("choice", [INHERIT, REMOVE, HOST_TO_HOST])
def test_choices_stay_what_they_are(choice: Any) -> None:
    assert load(dump(choice)) is choice


def test_what_a_kernel_showed_comes_back_as_it_was() -> None:
    odd = as_seen(Mark, 0x1FF, 0xFF)
    assert loads(dumps(odd)) == odd


@pytest.mark.parametrize(
    "secret", [Key(b"k" * 16), Algorithm.aes_gcm(b"k" * 20), sa(A, C, 1), (1, Key(b"s"))]
)
def test_nothing_with_a_key_can_be_written(secret: Any) -> None:
    with pytest.raises(TypeError, match="no place in a record"):
        dumps(secret)
    assert not {"Sa", "Key", "Algorithm"} & CLASSES.keys()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"Nothing": {}}',
        '{"a": 1, "b": 2}',
        '{"SaId": {}}',
        '{"SaId": 5}',
        '{"choice": "X"}',
    ],
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        loads(text)


@given(st.integers(0, 2**32 - 1), st.binary(max_size=8), st.text(max_size=8), st.floats(0, 1))
def test_plain_values(number: int, data: bytes, text: str, real: float) -> None:
    value = (number, data, text, real, None, True, (SaId(A, as_seen_proto(50), number),))
    assert load(json.loads(json.dumps(dump(value)))) == value


def as_seen_proto(number: int) -> Any:
    from pyxfrm.model import Proto

    return Proto(number)
