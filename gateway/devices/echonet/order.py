"""What has to be written to a unit, and when; pure.

An order is a list of steps. A step is written when its effect does not read back, waits for that effect, and is named as
refused when it does not come: units acknowledge writes that they then ignore (reference/modbus.md 3.4). What was once
kept and then reads otherwise was changed by somebody else.
"""

from dataclasses import dataclass, replace

from gateway.devices.echonet.bound import RENEW_CHARGE_S, RENEW_S
from gateway.devices.echonet.properties import RUNNING, Contents, Epc, Method, Mode, small, watts

SETTLE_S = 3.0
"""How long a unit may take until an order reads back."""
AGAIN_S = 10.0
"""Between two tries of an order that had no effect."""
QUARREL_S = 60.0
YIELD_S = 600.0
"""How long control is left to another controller that changed our order twice within QUARREL_S."""
STOPPED_S = 900.0
"""How long a stop at the unit is respected, unless the car is unplugged or the wish ends before."""
CHANGE_W = 50.0
CHANGE_GAP_S = 1.0
OURS = frozenset({Method.POWER, Method.V2G})
"""The methods that a controller orders; with the others a unit follows a programme of its own."""
RAN_OUT_SHARE = 0.8
"""A unit that stops when so much of its bound may have flowed was not stopped by a person."""
_BOUNDS = {Epc.CHARGE_BOUND: RENEW_CHARGE_S, Epc.DISCHARGE_BOUND: RENEW_S}
"""After how long each is renewed."""
_STOPPED = frozenset({Mode.STANDBY, Mode.IDLE, Mode.OTHER})
_ACTIVE = RUNNING | {Mode.AUTOMATIC, Mode.TEST}


@dataclass(frozen=True, slots=True)
class Means:
    """How a unit can be steered, after its property maps. ``bounded``: each order carries an energy bound."""

    charges: bool = False
    discharges: bool = False
    v2g: bool = False
    methods: frozenset[int] = frozenset()
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One write, and the mode that it brings with it where that is part of its effect.

    ``lenient``: any mode without current will do in place of the one that is written.
    """

    epc: Epc
    edt: bytes
    mode: Mode | None = None
    lenient: bool = False

    @property
    def starts(self) -> bool:
        """Whether it lets current flow."""
        return self.mode is not None or (self.epc is Epc.MODE and self.edt[0] in RUNNING)

    def shows(self, contents: Contents) -> bool:
        """Tell whether its effect reads back. A unit may prepare a start, and count its energy bound down."""
        mode = small(contents, Epc.MODE)
        if self.starts and mode == Mode.PREPARATION:
            return self.epc is Epc.MODE or contents.get(self.epc) == self.edt
        if self.lenient:
            return mode not in _ACTIVE
        if self.mode is not None and mode != self.mode:
            return False
        kept = contents.get(self.epc, b"")
        if self.epc in _BOUNDS and any(self.edt):
            return 0 < int.from_bytes(kept) <= int.from_bytes(self.edt)
        return kept == self.edt


@dataclass(frozen=True, slots=True)
class Order:
    """Power for the unit, positive into the car, and its energy bound (0: none)."""

    power_w: float
    bound_wh: int = 0


REST = (Step(Epc.MODE, bytes((Mode.STANDBY,))),)
"""No current; the unit holds the session as long as it likes."""
QUIET = (Step(Epc.MODE, bytes((Mode.STANDBY,)), lenient=True),)
"""No current, in whatever mode a unit without a car prefers."""
END = (Step(Epc.MODE, bytes((Mode.IDLE,))),)
"""The session is over and the car let go. Units before release G know no such mode."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was ordered and what became of it. ``kept`` has read back; ``waiting`` was written at ``written_at``."""

    steps: tuple[Step, ...] = ()
    kept: frozenset[Step] = frozenset()
    waiting: Step | None = None
    written_at: float = 0.0
    renewed_at: float = 0.0
    refused: str = ""
    meddled_at: float | None = None
    away_until: float = 0.0

    @property
    def done(self) -> bool:
        """Every step has read back."""
        return bool(self.steps) and self.kept.issuperset(self.steps)


def means(settable: frozenset[int], gettable: frozenset[int], contents: Contents, *, bounded: bool) -> Means:
    """Return how the unit can be steered. V2G needs both methods at 6, by order or because they stand there."""
    both = settable & gettable

    def possible(method: int) -> bool:
        return method in both or small(contents, Epc(method)) == Method.V2G

    v2g = Epc.V2G_POWER in both and possible(Epc.CHARGE_METHOD) and possible(Epc.DISCHARGE_METHOD)
    mode = Epc.MODE in both
    return Means(
        charges=mode and (v2g or Epc.CHARGE_POWER in both),
        discharges=mode and (v2g or Epc.DISCHARGE_POWER in both),
        v2g=v2g,
        methods=both & {Epc.CHARGE_METHOD, Epc.DISCHARGE_METHOD},
        bounded=bounded and both >= _BOUNDS.keys(),
    )


def steps(order: Order, unit: Means) -> tuple[Step, ...]:
    """Return the writes of an order in their sequence: how, how much, at most how much energy, and last the start."""
    if not order.power_w:
        return REST
    charging = order.power_w > 0
    magnitude, mode = abs(order.power_w), Mode.CHARGE if charging else Mode.DISCHARGE
    bound_at = Epc.CHARGE_BOUND if charging else Epc.DISCHARGE_BOUND
    bound = (Step(bound_at, watts(order.bound_wh)),) if order.bound_wh else ()
    if unit.v2g:
        how = tuple(Step(Epc(m), bytes((Method.V2G,))) for m in sorted(unit.methods))
        return (*how, *bound, Step(Epc.V2G_POWER, watts(order.power_w, sign=True), mode))
    method = Epc.CHARGE_METHOD if charging else Epc.DISCHARGE_METHOD
    given = (Step(method, bytes((Method.POWER,))),) if method in unit.methods else ()
    power = Step(Epc.CHARGE_POWER if charging else Epc.DISCHARGE_POWER, watts(magnitude))
    return (*given, power, *bound, Step(Epc.MODE, bytes((mode,))))


def own_methods(contents: Contents) -> dict[int, bytes]:
    """Return the methods by which the unit follows a programme of its own."""
    told = {m: small(contents, m) for m in (Epc.CHARGE_METHOD, Epc.DISCHARGE_METHOD)}
    return {m: bytes((method,)) for m, method in told.items() if method is not None and method not in OURS}


def hand_back(unit: Means, own: Contents) -> tuple[Step, ...]:
    """Return the writes that leave a unit to itself: standby, no bound, and the methods that were its own."""
    bounds = sorted(_BOUNDS) if unit.bounded else ()
    methods = sorted(unit.methods & own.keys())
    return (*QUIET, *(Step(b, watts(0)) for b in bounds), *(Step(Epc(m), own[m]) for m in methods))


def left_by_predecessor(contents: Contents) -> bool:
    """Tell whether the unit runs on an order like ours; one that runs a programme of its own is left alone."""
    mode = small(contents, Epc.MODE)
    charge, discharge = small(contents, Epc.CHARGE_METHOD), small(contents, Epc.DISCHARGE_METHOD)
    return (mode in {Mode.CHARGE, Mode.BOTH} and (charge is None or charge in OURS)) or (
        mode in {Mode.DISCHARGE, Mode.BOTH} and (discharge is None or discharge in OURS)
    )


def eased(now: float, wanted_w: float, ordered_w: float, changed_at: float) -> float:
    """Return the power to order: towards zero at once, else neither small changes nor more than one in a second."""
    less = abs(wanted_w) < abs(ordered_w) and wanted_w * ordered_w >= 0
    small_change = abs(wanted_w - ordered_w) < CHANGE_W and bool(wanted_w) is bool(ordered_w)
    if small_change or (not less and now - changed_at < CHANGE_GAP_S):
        return ordered_w
    return wanted_w


def ordered(standing: Standing, wanted: tuple[Step, ...], contents: Contents) -> Standing:
    """Take a new list of steps; what stands there already needs no write."""
    if wanted == standing.steps:
        return standing
    waiting = standing.waiting if standing.waiting in wanted else None
    return replace(
        standing,
        steps=wanted,
        kept=frozenset(step for step in wanted if step.shows(contents)),
        waiting=waiting,
        refused=standing.refused if waiting or not wanted else "",
    )


def seen(now: float, standing: Standing, contents: Contents) -> Standing:
    """Compare a look at the unit with what was ordered: what is kept, what is refused, who else was there."""
    shown = frozenset(step for step in standing.steps if step.shows(contents))
    meddled = any(step.epc not in _BOUNDS for step in standing.kept - shown)
    if not any(step.starts for step in standing.steps):
        meddled = meddled and small(contents, Epc.MODE) in _ACTIVE
    standing = replace(standing, kept=shown)
    if standing.waiting in shown:
        standing = replace(standing, waiting=None, refused="")
    elif standing.waiting is not None and now - standing.written_at >= SETTLE_S and not standing.refused:
        kept = contents.get(standing.waiting.epc, b"").hex() or "nothing"
        detail = f"ordered 0x{standing.waiting.epc:02X} = {standing.waiting.edt.hex()}, the unit keeps {kept}"
        standing = replace(standing, refused=detail)
    return _meddled(now, standing, contents) if meddled else standing


def _meddled(now: float, standing: Standing, contents: Contents) -> Standing:
    """Respect a stop at the unit at once, and another controller when it insists."""
    if small(contents, Epc.MODE) in _STOPPED and not _ran_out(now, standing):
        return _leave(standing, now + STOPPED_S)
    if standing.meddled_at is not None and now - standing.meddled_at <= QUARREL_S:
        return _leave(
            standing, now + YIELD_S, "another controller changes the orders, so it has control for now"
        )
    return replace(standing, meddled_at=now)


def _ran_out(now: float, standing: Standing) -> bool:
    """Tell whether the unit may have stopped because its energy bound was not renewed in time."""
    bound = next((int.from_bytes(s.edt) for s in standing.steps if s.epc in _BOUNDS), 0)
    power = next((s.edt for s in standing.steps if s.epc not in _BOUNDS and len(s.edt) == 4), b"")
    flows_w = abs(int.from_bytes(power, signed=True))
    return bool(bound) and flows_w * (now - standing.renewed_at) / 3600 >= RAN_OUT_SHARE * bound


def _leave(standing: Standing, until: float, why: str = "") -> Standing:
    return Standing(away_until=until, refused=why, renewed_at=standing.renewed_at)


def renewal_at(standing: Standing) -> float:
    """Return when the energy bound of the order has to be written again."""
    pauses = [_BOUNDS[step.epc] for step in standing.steps if step.epc in _BOUNDS and any(step.edt)]
    return standing.renewed_at + min(pauses, default=float("inf"))


def next_write(now: float, standing: Standing) -> Step | None:
    """Return the step to write now: the first without effect, or the energy bound when it is due."""
    due = now >= renewal_at(standing)
    for step in standing.steps:
        if step in standing.kept and not (due and step.epc in _BOUNDS):
            continue
        if step == standing.waiting:
            return step if now - standing.written_at >= AGAIN_S else None
        return step
    return None


def written(now: float, standing: Standing, step: Step, refused: str = "") -> Standing:
    """Note a write; ``refused`` is the unit's own no."""
    renewed_at = now if step.epc in _BOUNDS and not refused else standing.renewed_at
    again = replace(standing, waiting=step, written_at=now, renewed_at=renewed_at)
    return replace(again, refused=refused or standing.refused, kept=standing.kept - {step})
