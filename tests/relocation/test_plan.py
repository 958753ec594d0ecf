"""Plans: what belongs to an endpoint, what does not and why, and what is refused. The bad cases have their numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.model import (
    HOST_TO_HOST,
    REMOVE,
    Address,
    Algorithm,
    Direction,
    Encap,
    Family,
    Mark,
    Mode,
    Policy,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    SecurityContext,
    Selector,
    Template,
    network,
)
from pyxfrm.relocation.facts import Facts, Owner
from pyxfrm.relocation.moves import Options, Plan, Why
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.wish import Select, Wish
from tests.relocation.world import A6, C6, KEY, A, B, C, D, beet_pair, child, host_pair, policy, sa

LOCAL = Wish(local=A, new_local=B)


def plan_of(
    sas: list[Sa],
    policies: list[Policy],
    wish: Wish = LOCAL,
    options: Options | None = None,
    **facts: object,
) -> Plan:
    made = Facts(tuple(sas), tuple(policies))
    return make_plan(wish, replace(made, **facts), options or Options())  # type: ignore[arg-type]


def whys(plan: Plan) -> set[Why]:
    return {refusal.why for refusal in plan.refusals}


def left(plan: Plan) -> dict[str, str]:
    return {each.what: each.why for each in plan.left}


# -- what moves --------------------------------------------------------------------------------------


def test_a_dual_stack_child_is_two_sas_and_six_policies() -> None:
    """27, 28, 30: both families, fwd, every selector."""
    plan = plan_of(*child())
    assert [m.dir for m in plan.sas] == [SaDir.IN, SaDir.OUT]
    assert len(plan.policies) == 6
    assert {p.child for p in plan.policies} == {1}
    for move in plan.policies:
        (old,), (new,) = move.old.templates, move.new.templates
        assert {old.saddr, old.daddr} == {A, C}
        assert {new.saddr, new.daddr} == {B, C}
        assert move.in_place
    assert plan.refusals == ()


def test_both_ends_may_move_at_once() -> None:
    plan = plan_of(*child(), wish=Wish(local=A, new_local=B, remote=C, new_remote=D))
    assert {(m.new.saddr, m.new.id.daddr) for m in plan.sas} == {(B, D), (D, B)}


def test_other_endpoints_stay() -> None:
    sas, policies = child()
    others, more = child(D, C, number=2)
    plan = plan_of(sas + others, policies + more)
    assert {m.old.reqid for m in plan.sas} == {1}
    assert len(plan.policies) == 6


def test_a_remote_narrows_the_endpoint() -> None:
    sas, policies = child()
    others, more = child(A, D, number=2)
    both = plan_of(sas + others, policies + more)
    assert len(both.sas) == 4
    assert both.children == (1, 2)
    one = plan_of(sas + others, policies + more, wish=replace(LOCAL, remote=D))
    assert {m.old.reqid for m in one.sas} == {2}
    assert len(one.policies) == 6


def test_encapsulation_ports_are_turned_for_inbound_sas() -> None:
    plan = plan_of(*child(), wish=Wish(local=A, encap=Encap(4500, 1025)))
    assert {m.dir: m.new.encap for m in plan.sas} == {
        SaDir.OUT: Encap(4500, 1025),
        SaDir.IN: Encap(1025, 4500),
    }


def test_a_reqid_moves_templates_too() -> None:
    plan = plan_of(*child(), wish=Wish(local=A, reqid=77))
    assert {m.new.reqid for m in plan.sas} == {77}
    assert {t.reqid for p in plan.policies for t in p.new.templates} == {77}


def test_to_ipv6() -> None:
    plan = plan_of(*child(), wish=Wish(local=A, new_local=A6, remote=C, new_remote=C6))
    assert plan.refusals == ()
    assert {m.new.id.family for m in plan.sas} == {Family.INET6}
    assert {p.new.templates[0].family for p in plan.policies} == {Family.INET6}
    assert {p.new.sel.family for p in plan.policies} == {Family.INET, Family.INET6}


def test_a_trap_policy_of_the_endpoint_moves_without_an_sa() -> None:
    trap = policy(Direction.OUT, ("10.7.0.0/16", "10.8.0.0/16"), (A, C), reqid=55)
    plan = plan_of([], [trap])
    assert plan.policies[0].new.templates[0].saddr == B


def test_ipcomp_moves_with_its_esp_and_its_helper_stays() -> None:
    comp = Sa(
        SaId(C, Proto.COMP, 0x1234),
        A,
        Mode.TUNNEL,
        (Algorithm.comp("deflate"),),
        ReplayState.off(),
        reqid=1,
    )
    helper = Sa(SaId(C, Proto.IPIP, 0xC6336401), A, Mode.TUNNEL, (), ReplayState.off())
    esp = sa(A, C, 0xC1, mode=Mode.TRANSPORT)
    out = policy(Direction.OUT, ("10.1.0.0/16", "10.2.0.0/16"), (A, C))
    templates = (
        Template(A, C, Proto.COMP, Mode.TUNNEL, reqid=1),
        Template(
            Address.any(Family.INET), Address.any(Family.INET), Proto.ESP, Mode.TRANSPORT, reqid=1
        ),
    )
    plan = plan_of([esp, comp, helper], [replace(out, templates=templates)])
    assert [m.old.id.proto for m in plan.sas] == [Proto.COMP, Proto.ESP]
    assert plan.policies[0].sas == (0, 1)
    assert plan.policies[0].new.templates == (replace(templates[0], saddr=B), templates[1])
    assert any("helper of IPComp" in why for why in left(plan).values())


def test_host_to_host_transport_takes_its_selectors_along() -> None:
    """32: the SA's selector by UPDATE_H2H_SEL, the policies' by new policies."""
    plan = plan_of(*host_pair())
    assert {m.migration.sel for m in plan.sas} == {HOST_TO_HOST}
    out = plan.policies[0]
    assert not out.in_place
    assert str(out.new.sel) == f"src {B}/32 dst {C}/32"
    assert out.old.templates == out.new.templates
    assert any("no policy protects" in text for text in plan.warnings)
    assert plan.refusals == ()


def test_a_transport_selector_that_excludes_the_new_address_is_refused() -> None:
    sas, policies = host_pair()
    wide = Selector(network("192.0.2.0/24"), network(str(C)))
    plan = plan_of([replace(sas[0], sel=wide)], policies[:1])
    assert Why.SELECTOR in whys(plan)


# -- which SAs ---------------------------------------------------------------------------------------


def test_selection_lists_what_it_leaves() -> None:
    """7: siblings for other CPUs are listed, not forgotten."""
    sas, policies = child(directed=True)
    percpu = [replace(sas[0], id=replace(sas[0].id, spi=0xE0 + n), cpu=n) for n in range(3)]
    wish = replace(LOCAL, select=Select(cpus=frozenset({1})))
    plan = plan_of([*percpu], policies, wish=wish)
    assert [m.old.cpu for m in plan.sas] == [1]
    stay = {what: why for what, why in left(plan).items() if what.startswith("SA")}
    assert list(stay.values()) == ["its CPU was not selected"] * 2
    assert any("stay behind" in text for text in plan.warnings)


@pytest.mark.parametrize(
    ("select", "found"),
    [
        (Select(spis=frozenset({0xE1})), {0xE1}),
        (Select(reqids=frozenset({2})), {0xE2}),
        (Select(marks=frozenset({Mark(1, 0xFF)})), {0xE3}),
        (Select(if_ids=frozenset({7})), {0xE4}),
        (Select(labels=frozenset({b"system_u:object_r:ipsec_spd_t:s0"})), {0xE5}),
        (Select(spis=frozenset({0xE1, 0xE2}), reqids=frozenset({2})), {0xE2}),
        (Select(), {0xE1, 0xE2, 0xE3, 0xE4, 0xE5}),
    ],
)
def test_select(select: Select, found: set[int]) -> None:
    context = SecurityContext(b"system_u:object_r:ipsec_spd_t:s0\0")
    sas = [
        sa(A, C, 0xE1),
        sa(A, C, 0xE2, reqid=2),
        replace(sa(A, C, 0xE3), id=SaId(C, Proto.ESP, 0xE3, Mark(1, 0xFF))),
        sa(A, C, 0xE4, if_id=7),
        sa(A, C, 0xE5, context=context),
    ]
    plan = plan_of(sas, [], wish=replace(LOCAL, select=select))
    assert {m.old.id.spi for m in plan.sas} == found


def test_a_larval_sa_is_left() -> None:
    """34."""
    larva = replace(sa(A, C, 0xE1), algorithms=())
    plan = plan_of([larva, sa(A, C, 0xE2)], [])
    assert {m.old.id.spi for m in plan.sas} == {0xE2}
    assert any("larval" in why for why in left(plan).values())


def test_an_sa_that_no_lookup_finds_is_left() -> None:
    """6: a mark with value bits outside its mask."""
    from pyxfrm.model.checks import as_seen

    lost = replace(sa(A, C, 0xE1), id=SaId(C, Proto.ESP, 0xE1, as_seen(Mark, 0x1FF, 0xFF)))
    plan = plan_of([lost], [])
    assert plan.sas == ()
    assert any("outside its mask" in why for why in left(plan).values())


def test_a_socket_policy_is_left() -> None:
    mine = policy(Direction.OUT, ("10.1.0.0/16", "10.2.0.0/16"), (A, C))
    plan = plan_of(child()[0], [replace(mine, dir=Direction(4))])
    assert any("socket" in why for why in left(plan).values())


def test_policies_of_another_if_id_are_not_ours() -> None:
    """8: one selector, several policies."""
    sas, policies = child()
    mine = [replace(s, if_id=7) for s in sas]
    theirs, more = child(number=1)
    theirs = [replace(s, id=replace(s.id, spi=s.id.spi + 256), if_id=8, reqid=2) for s in theirs]
    both = [
        *[replace(p, if_id=7) for p in policies],
        *[replace(p, if_id=8, templates=(replace(p.templates[0], reqid=2),)) for p in more],
    ]
    wish = replace(LOCAL, select=Select(if_ids=frozenset({7})))
    plan = plan_of(mine + theirs, both, wish=wish)
    assert {p.old.if_id for p in plan.policies} == {7}
    assert len(plan.policies) == 6


# -- refusals ----------------------------------------------------------------------------------------


def marked(spi: int, mark: Mark | None, daddr: Address = C, saddr: Address = A) -> Sa:
    return replace(sa(saddr, daddr, spi), id=SaId(daddr, Proto.ESP, spi, mark))


def test_nothing_to_move() -> None:
    plan = plan_of([], [])
    assert whys(plan) == {Why.NOTHING, Why.STRATEGY} - {Why.STRATEGY}
    with pytest.raises(UsageError, match="nothing here belongs"):
        plan.check()


@pytest.mark.parametrize("broad", [Mark(0, 0), Mark(1, 1), None])
def test_two_sas_that_answer_to_one_name_are_refused(broad: Mark | None) -> None:
    """1, 2: a broad mask shadows the exact one, whichever is newer."""
    exact = marked(0xE1, Mark(1, 0xFF))
    for sas in ([exact, marked(0xE1, broad)], [marked(0xE1, broad), exact]):
        assert Why.AMBIGUOUS in whys(plan_of(sas, []))


def test_marks_that_differ_are_not_ambiguous() -> None:
    assert whys(plan_of([marked(0xE1, Mark(1, 0xFF)), marked(0xE1, Mark(2, 0xFF))], [])) == set()


def test_a_taken_target_is_refused() -> None:
    """4: and one that the kernel would take for taken, by mark."""
    moving = marked(0xE1, Mark(5, 0xFF), A, C)
    assert Why.TAKEN in whys(plan_of([moving, marked(0xE1, Mark(5, 0xFF), B, C)], []))
    assert Why.TAKEN in whys(plan_of([moving, marked(0xE1, Mark(0, 0), B, D)], []))
    assert Why.TAKEN not in whys(plan_of([moving, marked(0xE1, Mark(6, 0xFF), B, D)], []))


def test_two_sas_cannot_become_one() -> None:
    wish = Wish(local=A, remote=None, new_local=B)
    sas = [sa(C, A, 0xE1), sa(D, A, 0xE1)]
    assert Why.TAKEN in whys(plan_of(sas, [], wish=wish))


def test_a_taken_policy_place_is_refused() -> None:
    sas, policies = host_pair()
    there = policy(Direction.OUT, (str(B), str(C)), (B, C), reqid=9)
    assert Why.POLICY_TAKEN in whys(plan_of(sas, [*policies, there]))


TO_V6 = Wish(local=A, new_local=A6, remote=C, new_remote=C6)


def test_a_selector_of_the_old_family_cannot_follow_into_the_other() -> None:
    """12: a selector of networks stays as it is, and outside tunnels packets have the SA's addresses."""
    sas, policies = host_pair()
    wide = [replace(sa, sel=Selector.any(Family.INET)) for sa in sas]
    assert Why.FAMILY in whys(plan_of(wide, policies, wish=TO_V6))
    nets = [replace(p, sel=Selector.any(Family.INET)) for p in policies]
    unspecified = [replace(sa, sel=Selector.any(Family.UNSPEC)) for sa in sas]
    plan = plan_of(unspecified, nets, wish=TO_V6)
    assert Why.FAMILY not in whys(plan)
    assert Why.SELECTOR in whys(plan)


def test_hosts_and_beet_go_where_linux_lets_them() -> None:
    """Host-to-host selectors follow (UPDATE_H2H_SEL); the inner addresses of BEET stay."""
    plan = plan_of(*host_pair(), wish=TO_V6)
    assert plan.refusals == ()
    assert {p.new.sel for p in plan.policies} == {Selector.hosts(A6, C6), Selector.hosts(C6, A6)}
    assert {t.family for p in plan.policies for t in p.new.templates} == {Family.INET6}
    plan = plan_of(*beet_pair(), wish=TO_V6)
    assert plan.refusals == ()
    assert all(p.old.sel == p.new.sel for p in plan.policies)


def test_the_new_address_must_be_here() -> None:
    """17."""
    sas, policies = child()
    assert Why.ADDRESS in whys(plan_of(sas, policies, addresses=frozenset({A})))
    assert whys(plan_of(sas, policies, addresses=frozenset({A, B}))) == set()
    told = Options(any_address=True)
    assert whys(plan_of(sas, policies, options=told, addresses=frozenset({A}))) == set()


def test_sas_of_a_key_manager_are_refused_unless_forced() -> None:
    """44."""
    sas, policies = child()
    charon = (Owner(4711, 3, "charon"),)
    plan = plan_of(sas, policies, owners=charon)
    assert Why.OWNED in whys(plan)
    assert "charon" in plan.refusals[0].text
    forced = plan_of(sas, policies, options=Options(force=True), owners=charon)
    assert whys(forced) == set()
    assert any("charon" in text for text in forced.warnings)
    assert any("ACQUIRE" in text for text in forced.warnings) is charon[0].hears_acquire


def test_a_template_shared_with_others_is_refused() -> None:
    """A reqid of several peers' transport SAs, in one policy for all of them."""
    mine = sa(A, C, 0xE1, mode=Mode.TRANSPORT)
    theirs = sa(A6, C6, 0xE2, mode=Mode.TRANSPORT)
    other = sa(D, C, 0xE3, mode=Mode.TRANSPORT)
    anywhere = (Address.any(Family.INET),) * 2
    shared = policy(Direction.OUT, ("0.0.0.0/0", "0.0.0.0/0"), anywhere, mode=Mode.TRANSPORT)
    wish = Wish(local=A, reqid=9)
    assert Why.SHARED in whys(plan_of([mine, other], [shared], wish=wish))
    assert whys(plan_of([mine, theirs], [shared], wish=wish)) == set()


def test_what_makes_no_sense_cannot_be_wished() -> None:
    wrong: list[dict[str, Any]] = [
        {},
        {"new_local": B},
        {"local": A},
        {"local": A, "new_local": A},
        {"local": A, "remote": A, "new_local": B},
    ]
    for fields in wrong:
        with pytest.raises(UsageError):
            Wish(**fields)


# -- warnings ----------------------------------------------------------------------------------------


def test_a_policy_with_a_time_limit_says_that_it_starts_again() -> None:
    from pyxfrm.model import Limits

    sas, policies = child()
    timed = [replace(p, limits=Limits(hard_add=3600)) for p in policies]
    assert sum("time limit" in text for text in plan_of(sas, timed).warnings) == 6


def test_a_tunnel_for_the_old_address_itself_is_warned_of() -> None:
    out = policy(Direction.OUT, (str(A), str(C)), (A, C))
    plan = plan_of([sa(A, C, 0xE1)], [out])
    assert any("not from the new address" in text for text in plan.warnings)


# -- opened policies ---------------------------------------------------------------------------------


def test_inbound_policies_open_where_the_source_changes_and_a_reqid_guards() -> None:
    sas, policies = child()
    wish = Wish(remote=C, new_remote=D)
    opened = [p.opened for p in plan_of(sas, policies, wish=wish).policies if not p.outbound]
    assert all(o is not None and o.templates[0].saddr.is_any for o in opened)
    assert len(opened) == 4
    unnamed = [replace(p, templates=(replace(p.templates[0], reqid=0),)) for p in policies]
    loose = [replace(s, reqid=0) for s in sas]
    assert [p.opened for p in plan_of(loose, unnamed, wish=wish).policies] == [None] * 6
    assert [p.opened for p in plan_of(sas, policies).policies] == [None] * 6


# -- any plan ----------------------------------------------------------------------------------------


@given(
    numbers=st.lists(st.integers(1, 4), max_size=4, unique=True),
    encap=st.sampled_from([None, Encap(4500, 4501)]),
    change=st.sampled_from([LOCAL, Wish(remote=C, new_remote=D), Wish(local=A, encap=REMOVE)]),
)
def test_back_undoes_every_move(numbers: list[int], encap: Encap | None, change: Wish) -> None:
    sas, policies = [], []
    for number in numbers:
        more, others = child(number=number, encap=encap)
        sas += more
        policies += others
    plan = plan_of(sas, policies, wish=change)
    assert plan.children == tuple(range(1, len(numbers) + 1))
    for move in plan.sas:
        assert move.new.after(move.back).same_place(move.old)
        assert move.new.after(move.back).id == move.old.id
        assert move.new.same_sa(move.old)


def test_no_key_is_in_a_plan() -> None:
    assert KEY[:8].hex() not in repr(plan_of(*child())).replace("\\x", "")
    assert "Algorithm" not in repr(plan_of(*child()))


# -- strategies --------------------------------------------------------------------------------------
