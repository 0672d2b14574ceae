"""What a recorded Modbus unit would answer now: the newest recorded value of each register. Pure.

What we write is kept as a real unit would keep it, until the recording shows that the unit changed it by itself.
"""

from collections.abc import Iterable

from gateway.devices.recording.events import Exchange

COILS, DISCRETE, HOLDING, INPUT = "coil", "discrete", "holding", "input"
SPACES = {1: COILS, 5: COILS, 15: COILS, 2: DISCRETE, 3: HOLDING, 6: HOLDING, 16: HOLDING, 4: INPUT}
ILLEGAL_ADDRESS = "exception 2"

type Place = tuple[str, int]


class RegisterImage:
    """``exchanges`` is the whole recording of the unit: where nothing is known yet, the first known value stands in."""

    def __init__(self, exchanges: Iterable[Exchange] = ()) -> None:
        self._recorded: dict[Place, int] = {}
        self._ours: dict[Place, int] = {}
        self._errors: dict[tuple[int, int, int], str] = {}
        for exchange in exchanges:
            if not exchange.error:
                for place, value in _placed(exchange):
                    self._recorded.setdefault(place, value)

    def heard(self, exchange: Exchange) -> None:
        """Take in what was recorded next."""
        self._errors[_asked(exchange)] = exchange.error
        if exchange.error:
            return
        for place, value in _placed(exchange):
            if not exchange.writes and self._recorded.get(place) != value:
                self._ours.pop(place, None)
            self._recorded[place] = value

    def holds_ours(self, function: int, address: int, count: int) -> bool:
        """Tell whether some of these registers are as we wrote them."""
        return any((SPACES[function], address + n) in self._ours for n in range(count))

    def read(self, function: int, address: int, count: int) -> tuple[int, ...] | str:
        """Return the values, or the error of an exchange."""
        if error := self._errors.get((function, address, count)):
            return error
        places = [(SPACES[function], address + n) for n in range(count)]
        values = [self._ours.get(place, self._recorded.get(place)) for place in places]
        known = tuple(value for value in values if value is not None)
        return known if len(known) == count else ILLEGAL_ADDRESS

    def write(self, function: int, address: int, values: Iterable[int]) -> str:
        """Keep what we write; return the error that the unit gave to such an order."""
        written = tuple(values)
        if error := self._errors.get((function, address, len(written))):
            return error
        self._ours |= {(SPACES[function], address + n): value for n, value in enumerate(written)}
        return ""


def _asked(exchange: Exchange) -> tuple[int, int, int]:
    return exchange.function, exchange.address, exchange.count


def _placed(exchange: Exchange) -> Iterable[tuple[Place, int]]:
    space = SPACES.get(exchange.function, "")
    return (((space, exchange.address + n), value) for n, value in enumerate(exchange.values))
