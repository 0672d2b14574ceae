"""Wallbox Quasar 1 on Modbus TCP (reference/modbus.md 3.1). Functions 3 and 6 alone.

Control is taken by 81, handed back by 81 too; the idle timeout 88 is the lease. Whether reading feeds it is not told, so a
set-point that stands is written anew, and a charger that takes no end is not even read (modbus_charger).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from gateway.config import decode
from gateway.devices.clock import monotonic
from gateway.devices.modbus_bus import ModbusBus
from gateway.devices.modbus_charger.driver import ModbusCharger
from gateway.devices.modbus_charger.panel import Found, Options, Registers, WriteBudget
from gateway.devices.modbus_charger.steering import Look, Make
from gateway.faults import Malformed, Refused
from gateway.model import DeviceId, EvseState, FailSafeCard, Interval

FIRMWARE, PART_NUMBER_END = 1, 9
CONTROL, AUTO_START, SETPOINT_TYPE, IDLE_TIMEOUT = 81, 82, 83, 88
ACTION, POWER_W = 257, 260
MOST_A, MOST_W = 512, 514
MEASURED, MEASURED_END = 526, 542
_STATE, _SOC, _ERRORS = 537, 538, range(539, 543)

USER, REMOTE = 0, 1
BY_POWER = 1
START, STOP = 1, 2
RATED_W = 7400
LEAST_W = 690.0
"""3 A: what is smaller is not used."""
TOP_SOC_PCT = 97
"""A Leaf is never charged beyond it here: more is true only of a car that came so full, or a glitch."""
BELIEVED_AFTER_S = 60.0
CONTROL_POLL_S = 5.0
MOST_PLAUSIBLE_W = 10_000
SETTLE_S = 2.5
RAMP_DOWN_S = 5.0
RESTART_S = 300.0

MAKE = Make(
    settle_s=SETTLE_S,
    least_share=0.75,
    starts_sessions=True,
    seeks_soc=True,
    trims=True,
    restart_s=RESTART_S,
    drops_own_guard=True,
    silent_hint="this charger's Modbus server is known to hang: switch it off and on again at its breaker",
)


class State(IntEnum):
    NO_CAR = 0
    CHARGING = 1
    WAITING_FOR_CAR = 2
    CONTROLLED_BY_APP = 3
    PAUSED = 4
    END_OF_SCHEDULE = 5
    NO_CAR_AND_LOCKED = 6
    ERROR = 7
    POWER_SHARING = 8
    POWER_SHARING_UNCONFIGURED = 9
    POWER_BOOST = 10
    DISCHARGING = 11


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a state is to us. ``resting``: no session runs; ``waits_for``: what holds it back, ``error``: what broke."""

    state: EvseState
    resting: bool = False
    waits_for: str = ""
    error: str = ""


MEANINGS: dict[State, Meaning] = {
    State.NO_CAR: Meaning(EvseState.UNPLUGGED),
    State.CHARGING: Meaning(EvseState.READY),
    State.WAITING_FOR_CAR: Meaning(EvseState.STARTING),
    State.CONTROLLED_BY_APP: Meaning(EvseState.PLUGGED, resting=True, waits_for="controlled_by_app"),
    State.PAUSED: Meaning(EvseState.READY, resting=True),
    State.END_OF_SCHEDULE: Meaning(EvseState.PLUGGED, resting=True, waits_for="end_of_schedule"),
    State.NO_CAR_AND_LOCKED: Meaning(EvseState.UNPLUGGED),
    State.ERROR: Meaning(EvseState.FAULT, error="the charger is in its error state"),
    State.POWER_SHARING: Meaning(EvseState.PLUGGED, waits_for="power_sharing"),
    State.POWER_SHARING_UNCONFIGURED: Meaning(
        EvseState.FAULT,
        error="power sharing is on and not configured: set it up, or off, in the charger's app",
    ),
    State.POWER_BOOST: Meaning(EvseState.PLUGGED, waits_for="power_boost"),
    State.DISCHARGING: Meaning(EvseState.READY),
}
_UNDER_CURRENT = frozenset({State.CHARGING, State.DISCHARGING})


def card(lease_s: float) -> FailSafeCard:
    """Tell what the charger does without us."""
    end = f"ends charging and discharging {lease_s:g} s after the last request (idle timeout)"
    return FailSafeCard(
        lease_s=lease_s,
        on_silence=end,
        on_tcp_close=end,
        on_our_death=f"{end}; a restarted gateway ends at once what is left",
        on_device_reboot="starts under its app's control without an order; control is taken anew, and the order written anew",
        discharging_at_most_s=lease_s + RAMP_DOWN_S,
        proven_by="tests/gateway/scenarios/test_death_in_every_state.py",
    )


def signed(word: int) -> int:
    """Read a word as two's complement."""
    return word - 0x10000 if word & 0x8000 else word


def error_text(state: State, words: Mapping[int, int]) -> str:
    """Name an error: the state's own text, and every error register that is not 0."""
    bits = ", ".join(f"register {n}: 0x{words[n]:04x}" for n in _ERRORS if words[n])
    return "; ".join(filter(None, (MEANINGS[state].error, bits))) if MEANINGS[state].error or bits else ""


class SocReading:
    """The state of charge that may be passed on: told under current alone, never 0, and above 97 % only once it stays."""

    def __init__(self) -> None:
        self._high_since: float | None = None

    def of(self, now: float, state: State, told_pct: int) -> float | None:
        """Return the percentage, None while the charger is blind."""
        if state not in _UNDER_CURRENT or not 0 < told_pct <= 100:
            self._high_since = None
            return None
        if told_pct <= TOP_SOC_PCT:
            self._high_since = None
            return float(told_pct)
        self._high_since = now if self._high_since is None else self._high_since
        return float(told_pct) if now - self._high_since >= BELIEVED_AFTER_S else None


class QuasarPanel:
    """The registers. Settings are written when they differ, within their budget; order and control are read every 5 s."""

    def __init__(self, bus: ModbusBus, options: Options) -> None:
        self._bus = bus
        self._options = options
        self._registers = Registers(bus)
        self._budget = WriteBudget(monotonic)
        self._soc = SocReading()
        self._rated = Interval(0.0, 0.0)
        self._control: tuple[float, bool, bool] = (float("-inf"), False, False)
        self._kept_w: int | None = None
        self._foreign_w: int | None = None

    async def begin(self) -> Found:
        """End a standing order, whoever gave it and be it by current; then read the nameplate."""
        self._kept_w = self._foreign_w = None
        left_w = signed(await self._word(POWER_W))
        remote = await self._word(CONTROL) == REMOTE
        if left_w and remote:
            await self.order(0.0)
        measured = await self._registers.read_all(MEASURED, MEASURED_END)
        if remote and not left_w and abs(signed(measured[MEASURED])) >= LEAST_W:
            await self._bus.write_register(ACTION, STOP)
        running = remote and measured[_STATE] in _UNDER_CURRENT | {State.WAITING_FOR_CAR, State.PAUSED}
        told = await self._registers.read(FIRMWARE, PART_NUMBER_END)
        most_w = (await self._registers.read(MOST_W, MOST_W)).get(MOST_W, RATED_W)
        self._rated = self._options.narrow(min(most_w, RATED_W), min(most_w, RATED_W))
        self._control = (float("-inf"), False, False)
        return Found(
            maker="Wallbox",
            model=_text([told.get(n, 0) for n in range(4, 10)]) or "Quasar",
            serial=str(told.get(2, 0) << 16 | told.get(3, 0)) if 3 in told else "",
            version=str(told.get(FIRMWARE, "")),
            rated=self._rated,
            left_w=float(left_w) if remote else 0.0,
            remote=remote,
            running=running,
        )

    async def look(self, now: float) -> Look:
        """Read the measured block, and every 5 s who has control and what stands."""
        words = await self._registers.read_all(MEASURED, MEASURED_END)
        if now >= self._control[0] + CONTROL_POLL_S:
            await self._read_control(now)
        _, ours, leased = self._control
        power_w = signed(words[MEASURED])
        if abs(power_w) > MOST_PLAUSIBLE_W or words[_STATE] not in set(State):
            raise Malformed(f"power of {power_w} W in state {words[_STATE]}")
        state = State(words[_STATE])
        meaning = MEANINGS[state]
        live = meaning.state is EvseState.READY
        kept_w, self._foreign_w = self._foreign_w or self._kept_w or 0, None
        return Look(
            at=monotonic(),
            state=meaning.state,
            power_w=float(power_w),
            charge_max_w=self._rated.max_w if live else 0.0,
            discharge_max_w=-self._rated.min_w if live else 0.0,
            kept_w=float(kept_w),
            least_charge_w=LEAST_W,
            least_discharge_w=LEAST_W,
            ours=ours,
            leased=leased,
            resting=meaning.resting,
            soc_pct=self._soc.of(now, state, words[_SOC]),
            discharge_compatible=self._rated.min_w < 0,
            error=error_text(state, words),
            waits_for=meaning.waits_for,
            worn=self._budget.worn,
        )

    async def take(self) -> None:
        """Take control at 0 W, let nothing start by itself, count in watts, arm the lease."""
        await self._keep(CONTROL, REMOTE)
        self._kept_w = None
        await self.order(0.0)
        await self._keep(AUTO_START, 0)
        await self._keep(SETPOINT_TYPE, BY_POWER)
        await self._keep(IDLE_TIMEOUT, self._options.lease_s)
        self._control = (monotonic(), True, True)

    async def start(self, power_w: float) -> None:
        """Write the set-point, then start."""
        await self.order(power_w)
        await self._bus.write_register(ACTION, START)

    async def order(self, power_w: float) -> None:
        """Write the set-point when it is not the one that stands; an end that it refuses is said by a stop as well.

        What somebody else left there meanwhile is told by the next look, for it no longer stands then.
        """
        wanted, stands = round(power_w), signed(await self._word(POWER_W))
        if self._kept_w is not None and stands not in {self._kept_w, 0}:
            self._foreign_w = stands
        if stands != wanted:
            try:
                await self._put(POWER_W, wanted & 0xFFFF)
            except Refused:
                self._kept_w = None
                if not wanted:
                    await self._bus.write_register(ACTION, STOP)
                raise
        self._kept_w = wanted

    async def renew(self, power_w: float) -> None:
        """Write the set-point that stands once more."""
        if signed(await self._word(POWER_W)) == round(power_w):
            await self._put(POWER_W, round(power_w) & 0xFFFF)

    async def stop(self) -> None:
        """Order 0 W, and say stop as well, so that nothing starts when a car is plugged in again."""
        await self.order(0.0)
        await self._bus.write_register(ACTION, STOP)

    async def give_back(self) -> None:
        """Stop, then let the app have control: the charger itself takes its settings back."""
        if await self._word(CONTROL) == REMOTE:
            await self.stop()
            await self._put(CONTROL, USER)

    async def _read_control(self, now: float) -> None:
        switches = await self._registers.read_all(CONTROL, SETPOINT_TYPE)
        timeout_s = await self._word(IDLE_TIMEOUT)
        self._kept_w = signed(await self._word(POWER_W))
        ready = switches[AUTO_START] == 0 and switches[SETPOINT_TYPE] == BY_POWER
        leased = ready and timeout_s == self._options.lease_s
        self._control = (now, switches[CONTROL] == REMOTE, leased)

    async def _word(self, address: int) -> int:
        return (await self._bus.read_holding(address, 1))[0]

    async def _keep(self, address: int, value: int) -> None:
        """Write a setting only when it differs, and no more often than its memory bears."""
        if await self._word(address) != value:
            self._budget.spend(address)
            await self._put(address, value)

    async def _put(self, address: int, value: int) -> None:
        await self._bus.write_register(address, value)
        kept = await self._word(address)
        if kept != value:
            raise Refused(f"wrote {signed(value)} at {address}, the charger kept {signed(kept)}")


class Quasar(ModbusCharger):
    """The driver."""

    stop_causes = frozenset(meaning.waits_for for meaning in MEANINGS.values()) - {""}

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> Quasar:
        """Build from a table of site.toml. Raises ConfigError."""
        options = decode(Options, table, f"devices.{device}")
        bus = ModbusBus(options.host, options.port, options.unit)
        return cls(device, driver, options, bus, QuasarPanel(bus, options), MAKE, card(options.lease_s))


def _text(words: list[int]) -> str:
    """Read two ASCII letters per word."""
    raw = b"".join(word.to_bytes(2) for word in words)
    return raw.split(b"\0")[0].decode("ascii", "replace").strip()
