"""What is written to a V2H unit and when: orders, refusals, other controllers, a stop by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.echonet.bound import (
    BOUND_S,
    LASTS_S,
    REFUSAL_S,
    RENEW_CHARGE_S,
    RENEW_S,
    SETTLED_S,
    WEAK_S,
    Weak,
    bound_wh,
    most_discharge_w,
)
from gateway.devices.echonet.handshake import Handshake
from gateway.devices.echonet.order import (
    AGAIN_S,
    END,
    QUARREL_S,
    QUIET,
    REST,
    SETTLE_S,
    STOPPED_S,
    YIELD_S,
    Means,
    Order,
    Standing,
    eased,
    hand_back,
    left_by_predecessor,
    means,
    next_write,
    ordered,
    own_methods,
    seen,
    steps,
    written,
)
from gateway.devices.echonet.properties import Connection, Epc, Mode, reading, watts

EVERYTHING = frozenset(Epc)
STANDBY = {Epc.MODE: bytes((Mode.STANDBY,))}
BY_POWER = Means(charges=True, discharges=True, methods=frozenset({Epc.CHARGE_METHOD, Epc.DISCHARGE_METHOD}))


def carried_out(order, unit, contents):
    """Write every step into ``contents`` as an obedient unit would; return the standing order."""
    standing = ordered(Standing(), steps(order, unit), contents)
    for _ in range(20):
        standing = seen(0.0, standing, contents)
        if (step := next_write(0.0, standing)) is None:
            return standing
        standing = written(0.0, standing, step)
        contents |= {step.epc: step.edt} | ({Epc.MODE: bytes((step.mode,))} if step.mode else {})
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("settable", "expected"),
    [
        (EVERYTHING, (True, True, True)),
        (EVERYTHING - {Epc.V2G_POWER}, (True, True, False)),
        ({Epc.MODE, Epc.CHARGE_POWER}, (True, False, False)),
        ({Epc.CHARGE_POWER, Epc.DISCHARGE_POWER}, (False, False, False)),
        ({Epc.MODE}, (False, False, False)),
    ],
)
def test_only_what_the_maps_offer_is_used(settable, expected):
    unit = means(frozenset(settable), EVERYTHING, STANDBY, bounded=False)
    assert (unit.charges, unit.discharges, unit.v2g) == expected


def test_v2g_is_used_where_its_method_is_fixed_and_not_where_another_is():
    fixed = EVERYTHING - {Epc.CHARGE_METHOD, Epc.DISCHARGE_METHOD}
    both = {Epc.CHARGE_METHOD: b"\x06", Epc.DISCHARGE_METHOD: b"\x06"}
    assert means(fixed, EVERYTHING, both, bounded=False).v2g
    assert not means(fixed, EVERYTHING, both | {Epc.DISCHARGE_METHOD: b"\x02"}, bounded=False).v2g


def test_a_bound_that_the_unit_does_not_have_bounds_nothing():
    assert means(EVERYTHING, EVERYTHING, STANDBY, bounded=True).bounded
    assert not means(EVERYTHING - {Epc.DISCHARGE_BOUND}, EVERYTHING, STANDBY, bounded=True).bounded


def test_the_start_is_written_last_and_only_what_differs_is_written():
    written_epcs = [s.epc for s in steps(Order(-3000.0, 25), BY_POWER)]
    assert written_epcs == [Epc.DISCHARGE_METHOD, Epc.DISCHARGE_POWER, Epc.DISCHARGE_BOUND, Epc.MODE]
    contents = STANDBY | {Epc.DISCHARGE_METHOD: b"\x03"}
    assert carried_out(Order(-3000.0, 25), BY_POWER, contents).done
    assert contents[Epc.DISCHARGE_POWER] == watts(3000)
    assert next_write(0.0, ordered(Standing(), REST, STANDBY)) is None


def test_a_v2g_set_point_brings_its_mode_and_is_written_again_when_the_mode_is_gone():
    unit = Means(charges=True, discharges=True, v2g=True)
    contents = dict(STANDBY)
    standing = carried_out(Order(-2000.0), unit, contents)
    assert standing.done
    assert contents[Epc.MODE] == bytes((Mode.DISCHARGE,))
    contents[Epc.MODE] = bytes((Mode.AUTOMATIC,))
    standing = seen(1.0, standing, contents)
    assert next_write(1.0, standing).epc is Epc.V2G_POWER


def test_an_acknowledged_and_ignored_order_is_named_and_tried_again_later():
    standing = ordered(Standing(), steps(Order(3000.0), BY_POWER), STANDBY)
    step = next_write(0.0, standing)
    standing = written(0.0, standing, step)
    assert next_write(SETTLE_S / 2, standing) is None
    assert seen(SETTLE_S / 2, standing, STANDBY).refused == ""
    standing = seen(SETTLE_S, standing, STANDBY)
    assert "0xDC = 03" in standing.refused
    assert next_write(AGAIN_S / 2, standing) is None
    assert next_write(AGAIN_S, standing) == step
    assert SETTLE_S < 30
    obeyed = seen(AGAIN_S + 1, written(AGAIN_S, standing, step), STANDBY | {step.epc: step.edt})
    assert obeyed.refused == ""


def test_a_no_of_the_unit_is_named_at_once():
    standing = ordered(Standing(), steps(Order(3000.0), BY_POWER), STANDBY)
    standing = written(0.0, standing, next_write(0.0, standing), "the unit says no")
    assert seen(0.1, standing, STANDBY).refused == "the unit says no"


def test_a_stop_at_the_unit_is_respected_at_once():
    contents = dict(STANDBY)
    standing = carried_out(Order(3000.0), BY_POWER, contents)
    standing = seen(100.0, standing, contents | STANDBY)
    assert standing.away_until == 100.0 + STOPPED_S
    assert next_write(100.0, standing) is None


def test_another_controller_is_overruled_once_and_then_obeyed():
    contents = dict(STANDBY)
    standing = carried_out(Order(3000.0), BY_POWER, contents)
    contents[Epc.CHARGE_POWER] = watts(6000)
    standing = seen(100.0, standing, contents)
    step = next_write(100.0, standing)
    assert (step.epc, step.edt) == (Epc.CHARGE_POWER, watts(3000))
    standing = seen(100.2, written(100.1, standing, step), contents | {step.epc: step.edt})
    standing = seen(100.0 + QUARREL_S, standing, contents)
    assert standing.away_until == 100.0 + QUARREL_S + YIELD_S
    assert "another controller" in standing.refused


def test_a_unit_that_prepares_its_start_is_given_the_time():
    contents = dict(STANDBY)
    standing = carried_out(Order(3000.0), BY_POWER, contents)
    standing = seen(1.0, standing, contents | {Epc.MODE: bytes((Mode.PREPARATION,))})
    assert standing.done
    assert next_write(1.0, standing) is None


def test_without_current_only_a_start_is_meddling():
    standing = ordered(Standing(), REST, STANDBY)
    for mode, meddles in (
        (Mode.IDLE, False),
        (Mode.OTHER, False),
        (Mode.CHARGE, True),
        (Mode.AUTOMATIC, True),
    ):
        assert (seen(1.0, standing, {Epc.MODE: bytes((mode,))}).meddled_at is not None) is meddles


def test_a_unit_without_a_car_may_rest_in_any_mode():
    for mode in (Mode.IDLE, Mode.OTHER, Mode.STANDBY):
        assert next_write(0.0, ordered(Standing(), QUIET, {Epc.MODE: bytes((mode,))})) is None
    assert next_write(0.0, ordered(Standing(), QUIET, {Epc.MODE: bytes((Mode.DISCHARGE,))})) == QUIET[0]


def test_two_changes_far_apart_are_no_quarrel():
    contents = dict(STANDBY)
    standing = carried_out(Order(3000.0), BY_POWER, contents)
    for at in (100.0, 100.0 + 2 * QUARREL_S):
        standing = seen(at, standing, contents | {Epc.CHARGE_POWER: watts(6000)})
        assert not standing.away_until
        standing = seen(at + 1, written(at, standing, next_write(at, standing)), contents)


def test_an_energy_bound_is_renewed_and_may_count_down():
    contents = dict(STANDBY)
    standing = carried_out(Order(-6000.0, 50), BY_POWER, contents)
    contents[Epc.DISCHARGE_BOUND] = watts(30)
    assert seen(1.0, standing, contents).done
    assert next_write(RENEW_S - 0.1, seen(1.0, standing, contents)) is None
    assert next_write(RENEW_S, seen(1.0, standing, contents)).epc is Epc.DISCHARGE_BOUND


def test_a_bound_that_ran_out_before_its_renewal_is_no_stop_by_a_person():
    contents = dict(STANDBY)
    standing = carried_out(Order(-6000.0, 50), BY_POWER, contents)
    assert seen(BOUND_S, standing, contents | STANDBY).away_until == 0
    assert next_write(BOUND_S, seen(BOUND_S, standing, contents | STANDBY)) is not None


@given(least_w=st.floats(0, 6000), ordered_w=st.floats(0, 20_000), share=st.floats(0, 1))
def test_a_discharge_ends_in_a_minute_at_whatever_power_the_unit_can_do_and_is_renewed_before(
    least_w, ordered_w, share
):
    flows_w = max(least_w, share * ordered_w)
    wh = bound_wh(-ordered_w, least_w)
    assert wh * 3600 <= BOUND_S * flows_w
    assert min(ordered_w, most_discharge_w(least_w)) * LASTS_S <= wh * 3600 + 1e-6
    assert 2 * RENEW_S < LASTS_S


def test_a_unit_that_tells_no_least_power_is_not_discharged():
    assert bound_wh(-3000.0, 0.0) == 0
    assert most_discharge_w(0.0) == most_discharge_w(50.0) == 0.0


@given(st.floats(1, 20_000))
def test_a_charge_is_bounded_by_the_power_ordered(power_w):
    assert bound_wh(power_w, 0.0) * 3600 / power_w >= 2 * RENEW_CHARGE_S


def discharges(power_w, connection=Connection.BOTH):
    told = {Epc.CONNECTION: bytes((connection,)), Epc.MODE: bytes((Mode.DISCHARGE,))}
    told |= {Epc.MEASURED_POWER: watts(power_w, sign=True), Epc.DISCHARGE_RANGE: watts(500) + watts(6000)}
    return reading(told)


def test_a_unit_that_does_less_than_its_least_is_told_to_end_within_half_a_minute_and_asked_again_in_an_hour():
    weak = Weak()
    for now in range(int(SETTLED_S + WEAK_S) + 1):
        assert not weak.why
        weak = weak.after(now, discharges(-300.0), -3000.0, 0.0)
    assert "300 W" in weak.why
    assert now <= 30
    assert weak.after(now + 60, discharges(0.0), 0.0, 0.0).why
    assert not weak.after(now + REFUSAL_S, discharges(0.0), 0.0, 0.0).why
    assert not weak.after(now + 60, discharges(0.0, Connection.NONE), 0.0, 0.0).why


def test_a_unit_that_does_what_it_can_is_not_weak():
    weak = Weak()
    for now in range(100):
        weak = weak.after(now, discharges(-480.0 if now % 20 else -100.0), -3000.0, 0.0)
    assert weak.since is None


def test_power_falls_at_once_and_rises_in_steps():
    assert eased(10.0, 500.0, 3000.0, changed_at=9.9) == 500.0
    assert eased(10.0, 0.0, 20.0, changed_at=9.9) == 0.0
    assert eased(10.0, 3000.0, 500.0, changed_at=9.9) == 500.0
    assert eased(10.0, 3000.0, 500.0, changed_at=8.9) == 3000.0
    assert eased(10.0, 520.0, 500.0, changed_at=0.0) == 500.0
    assert eased(10.0, -3000.0, 3000.0, changed_at=9.9) == 3000.0


@pytest.mark.parametrize(
    ("mode", "charge", "discharge", "ours"),
    [
        (Mode.CHARGE, 3, 2, True),
        (Mode.DISCHARGE, 1, 6, True),
        (Mode.BOTH, 3, 2, True),
        (Mode.CHARGE, 1, 3, False),
        (Mode.DISCHARGE, 3, 2, False),
        (Mode.STANDBY, 3, 3, False),
        (Mode.AUTOMATIC, 6, 6, False),
    ],
)
def test_an_order_of_a_predecessor_is_known_by_its_method(mode, charge, discharge, ours):
    contents = {
        Epc.MODE: bytes((mode,)),
        Epc.CHARGE_METHOD: bytes((charge,)),
        Epc.DISCHARGE_METHOD: bytes((discharge,)),
    }
    assert left_by_predecessor(contents) is ours


def test_without_methods_a_running_unit_is_taken_for_a_predecessors():
    assert left_by_predecessor({Epc.MODE: bytes((Mode.DISCHARGE,))})


def test_a_unit_is_handed_back_in_standby_with_its_own_methods_and_no_bound():
    own = own_methods({Epc.CHARGE_METHOD: b"\x01", Epc.DISCHARGE_METHOD: b"\x06"})
    unit = Means(methods=BY_POWER.methods, bounded=True)
    back = [(s.epc, s.edt) for s in hand_back(unit, own)]
    assert back == [
        (Epc.MODE, bytes((Mode.STANDBY,))),
        (Epc.CHARGE_BOUND, watts(0)),
        (Epc.DISCHARGE_BOUND, watts(0)),
        (Epc.CHARGE_METHOD, b"\x01"),
    ]
    assert END[0].edt == bytes((Mode.IDLE,))


def test_the_car_is_asked_at_once_then_ever_more_seldom():
    shake = Handshake().after(0.0, Connection.UNKNOWN, wanted=True)
    asked_at = []
    for now in range(4 * 3600):
        shake = shake.after(now, Connection.UNKNOWN, wanted=True)
        if shake.due(now):
            asked_at.append(now)
            shake = shake.asking(now)
    assert asked_at[:5] == [0, 20, 60, 140, 300]
    assert len(asked_at) < 12
    assert shake.fruitless(30.0)
    assert not shake.after(1.0, Connection.BOTH, wanted=True).due(1.0)
    assert not shake.after(1.0, Connection.NONE, wanted=True).due(1.0)
    assert not shake.after(1.0, Connection.UNKNOWN, wanted=False).due(1.0)
