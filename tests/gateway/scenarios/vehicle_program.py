"""A vehicle program as a stranger would write it: sockets, and bytes put together by hand from reference/can.md 3."""

import asyncio
import socket

BURST_S = 0.1
STATUS = 0x109


class Vehicle:
    """A car of 40 kWh with an impatient sequence. Change the attributes before ``live`` to make it misbehave.

    ``seen`` holds what the charger sent, (time, id, data); ``lines`` the pilot lines as they came, (time, name, on);
    ``asked`` the current that the car asked for, (time, A).
    """

    target_v = 410
    maximum_v = 435
    wants_a = 40
    gives_a = 30
    follows_offer = True
    k_after_s = 0.7
    closes_after_s = 0.6
    asks_after_s = 0.6
    stop_after_s = None
    fault_bits, fault_after_s = 0, None
    silent_after_s = None
    refuses_starts = 0
    """So many times it says 102.5.4 instead of permitting."""
    is_hasty = False
    """When it leaves it says at once that its contactor is open."""
    is_old = False
    """102.0 = 1 and 102.5.3 never set; no word of dynamic control."""
    opens_after_s = None
    """It says then, while it still permits, that its contactor is open."""
    is_cheap = False
    """One of its three frames every 75 ms, nothing about discharging, no line for k."""
    line_end = b""

    def __init__(self):
        self.seen, self.lines, self.asked = [], [], []
        self.pilot = {}
        self.k = self.contactor = self.leaving = False
        self.asks_a = self.limit_a = 0
        self.first_peer = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._peer = None
        self._newest = {}
        self._refused, self._turn = False, 0
        self._d1_at = self._d2_at = self._closed_at = self._energised_at = self._left_at = None

    # ── the wire ──

    def listen(self):
        """Take a port and wait for the charger; return the port."""
        self._socket.bind(("127.0.0.1", 0))
        return self._socket.getsockname()[1]

    def call(self, port):
        """Speak to a charger that waits at ``port``."""
        self._socket.bind(("127.0.0.1", 0))
        self._peer = ("127.0.0.1", port)
        self.say(b"!k=0")

    def hang_up(self):
        self._socket.close()

    def say(self, text):
        if self._peer is not None:
            self._socket.sendto(text + self.line_end, self._peer)

    def _listen_to_all(self, now):
        while True:
            try:
                text, sender = self._socket.recvfrom(2048)
            except BlockingIOError:
                return
            self._peer = sender
            text = text.strip().decode()
            if text.startswith("!"):
                name, value = text[1:].split("=")
                self.lines.append((now, name, value == "1"))
                self.pilot[name] = value == "1"
            else:
                can_id, data = text.split("#")
                self._newest[int(can_id, 16)] = bytes.fromhex(data)
                self.seen.append((now, int(can_id, 16), bytes.fromhex(data)))

    # ── the car ──

    async def live(self, until=lambda: False):
        """Run until ``until()`` holds."""
        loop = asyncio.get_running_loop()
        burst_at = loop.time()
        while not until():
            now = loop.time()
            self._listen_to_all(now)
            if now >= burst_at:
                burst_at = max(burst_at + (0.075 if self.is_cheap else BURST_S), now)
                self._think(now)
                if self._awake and not self._silent(now):
                    self._speak(now)
            await asyncio.sleep(0.01)

    def _think(self, now):
        d1, d2 = self.pilot.get("d1", False), self.pilot.get("d2", False)
        self._d1_at = (self._d1_at or now) if d1 else None
        self._d2_at = (self._d2_at or now) if d2 else None
        self._awake = d1 or self.contactor
        if not d1:
            self._sleep()
            return
        status = self._status
        if STATUS in self._newest and now - self._d1_at > self.k_after_s and not self.leaving:
            self._permit(not self.refuses_starts)
        if (
            d2
            and self.k
            and not self.contactor
            and not self.leaving
            and now - self._d2_at > self.closes_after_s
        ):
            self.contactor, self._closed_at = True, now
        if status & 0x01 and self.contactor and self._energised_at is None:
            self._energised_at = now
        self._decide_to_leave(now, status)
        self._move_currents(now)
        if self.leaving:
            self._leave(now, status, d2)

    def _sleep(self):
        self.refuses_starts -= self._refused
        self._refused = False
        self._permit(False)
        self.contactor = self.leaving = False
        self.asks_a = self.limit_a = 0
        self._closed_at = self._energised_at = self._left_at = None
        self._newest.clear()

    def _decide_to_leave(self, now, status):
        running_s = now - self._energised_at if self._energised_at else 0.0
        told_to = self.contactor and self._energised_at and status & 0x20
        wants_to = self.stop_after_s is not None and running_s > self.stop_after_s
        if told_to or wants_to or status & 0x1A:
            self.leaving = True

    def _move_currents(self, now):
        asks = self.contactor and now - self._closed_at > self.asks_after_s and not self.leaving
        offer_a = self._newest[0x108][3] if self.follows_offer and 0x108 in self._newest else 255
        take_a = 255 - self._newest[0x208][3] if 0x208 in self._newest else 0
        self.asks_a = min(self.asks_a + 2, self.wants_a, offer_a) if asks else 0
        self.limit_a = min(self.limit_a + 2, self.gives_a, take_a) if asks else 0
        self.asked.append((now, self.asks_a))

    def _leave(self, now, status, d2):
        flowing = status & 0x01 and self.contactor
        if not flowing or self.stop_after_s is not None:
            self._permit(False)
            self._left_at = self._left_at or now
        opened = self._left_at is not None and (self.is_hasty or now - self._left_at > 0.8)
        if self.contactor and (opened or not d2):
            self.contactor = False

    def _permit(self, on):
        if on != self.k:
            self.k = on
            if not self.is_cheap:
                self.say(b"!k=%d" % on)

    def _silent(self, now):
        running_s = now - self._energised_at if self._energised_at else 0.0
        return self.silent_after_s is not None and running_s > self.silent_after_s

    @property
    def _status(self):
        return self._newest[STATUS][5] if STATUS in self._newest else 0x20

    def _faults(self, now):
        if self.fault_after_s is None or self._energised_at is None:
            return 0
        return self.fault_bits if now - self._energised_at > self.fault_after_s else 0

    def _says_open(self, now):
        running_s = now - self._energised_at if self._energised_at else 0.0
        opens = self.opens_after_s is not None and running_s > self.opens_after_s
        return not self.is_old and (opens or not self.contactor)

    def _speak(self, now):
        bits = 0x80 * (not self.is_cheap) | self.k | 0x08 * self._says_open(now)
        if self.refuses_starts and now - self._d1_at > self.k_after_s:
            bits, self._refused = bits | 0x10, True
        target, most = self.target_v, self.maximum_v
        frames = (
            (0x100, [0, 0, 0, 0, most & 255, most >> 8, 100, 0]),
            (0x101, [0, 255, 60, 0, 0, 0x62, 0x01, 0]),
            (
                0x102,
                [2 - self.is_old, target & 255, target >> 8, self.asks_a, self._faults(now), bits, 62, 0],
            ),
            (0x200, [255 - self.limit_a, 0, 0, 0, 250, 0, 10, 100]),
            (0x110, [not self.is_old, 0, 0, 0, 0, 0, 0, 0]),
            (0x201, [2, 0, 0, 0, 0, 0, 0, 0]),
        )
        if self.is_cheap:
            self._turn = (self._turn + 1) % 3
            frames = frames[self._turn : self._turn + 1]
        for can_id, data in frames:
            self.say(b"%03X#%s" % (can_id, bytes(data).hex().upper().encode()))

    # ── what it saw ──

    @property
    def statuses(self):
        """109.5 as it changed."""
        told = [data[5] for _, can_id, data in self.seen if can_id == STATUS]
        return [status for n, status in enumerate(told) if n == 0 or status != told[n - 1]]

    def most(self, can_id, value):
        """The greatest of ``value(data)`` over the frames of an id."""
        return max((value(data) for _, seen_id, data in self.seen if seen_id == can_id), default=0)
