"""What each route does, one method per row of ``routes.ROUTES``; it knows the site and the access, but not HTTP."""
# ruff: noqa: D102 - what a method does is the summary in its row

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.api.access import Pairing, Token, Tokens
from gateway.api.control_view import ReserveView
from gateway.api.forecasts import (
    ForecastsView,
    PlanView,
    forecasts_view,
    new_prices,
    new_series,
    new_trips,
    plan_view,
)
from gateway.api.openapi import document
from gateway.api.problems import ProblemError
from gateway.api.schema import (
    API_MIN_VERSION,
    API_VERSION,
    FaultView,
    Info,
    NewToken,
    Paired,
    Role,
    SiteView,
    TokenView,
    encode,
    fault_views,
    owner_view,
    reserve_views,
    site_view,
)
from gateway.api.site import EquipmentState, Site, UtilityCredentials
from gateway.api.throttle import Replays
from gateway.api.wishes import actuator, known, new_need, new_request, new_reserve, patched
from gateway.model import (
    Acknowledgement,
    Decision,
    DeviceId,
    DeviceInfo,
    GridEvent,
    HistoryPoint,
    Need,
    OwnerSettings,
    Request,
    Trip,
)

INSPECTION_HOLDS = timedelta(seconds=60)
"""An inspection that does not reach the device in this time is forgotten."""
VERDICT_WAIT_S = 1.5
"""Control judges the next window within a tick, and tells of it within a report."""


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised request: ``asked`` is the parsed body or query of the type that the route names, else None."""

    path: Mapping[str, str]
    asked: Any
    client: Token | None
    idempotency_key: str


class Answers:
    """The methods; each returns the body of a good answer and raises ProblemError otherwise."""

    def __init__(
        self, site: Site, tokens: Tokens, pairing: Pairing, fingerprint: str, utc_now: Callable[[], datetime]
    ) -> None:
        self._site = site
        self._tokens = tokens
        self._pairing = pairing
        self._fingerprint = fingerprint
        self._utc_now = utc_now
        self._replays = Replays()

    async def info(self, _call: Call) -> Info:
        who = self._site.identity
        return Info(
            who.serial,
            who.name,
            who.sw_version,
            API_VERSION,
            API_MIN_VERSION,
            self._fingerprint,
            paired=bool(self._tokens),
            pairing_open=self._pairing.is_open(self._utc_now()),
        )

    async def openapi(self, _call: Call) -> dict[str, Any]:
        return document(self._site.identity.sw_version)

    async def pair(self, call: Call) -> Paired:
        utc = self._utc_now()
        self._pairing.redeem(call.asked.code, utc)
        token, secret = self._tokens.add(call.asked.client_name, Role.OWNER, utc)
        return Paired(secret, token.role, self._site.identity.serial, self._fingerprint)

    async def state(self, _call: Call) -> SiteView:
        return site_view(self._site.identity, self._site.view())

    async def plan(self, _call: Call) -> PlanView | None:
        view = self._site.view()
        return plan_view(view.plan, view.outlook)

    async def forecasts(self, _call: Call) -> ForecastsView:
        view = self._site.view()
        return forecasts_view(view.prices, view.outlook)

    async def put_prices(self, call: Call) -> None:
        slots = new_prices(call.asked)
        if await self._site.hand_in_prices(slots, call.asked.lists) == 0:
            raise ProblemError("invalid_request", "there is no price in it")

    async def put_solar(self, call: Call) -> None:
        await self._site.hand_in("solar", new_series(call.asked))

    async def put_load(self, call: Call) -> None:
        await self._site.hand_in("load", new_series(call.asked))

    async def put_carbon(self, call: Call) -> None:
        await self._site.hand_in("carbon", new_series(call.asked))

    async def put_trips(self, call: Call) -> None:
        await self._site.hand_in("trips", new_trips(call.asked, self._devices()))

    async def equipment(self, _call: Call) -> Mapping[DeviceId, EquipmentState]:
        return self._site.view().equipment

    async def faults(self, _call: Call) -> Sequence[FaultView]:
        return fault_views(self._site.view())

    async def trips(self, call: Call) -> Sequence[Trip]:
        if call.asked.device is not None:
            known(call.asked.device, self._devices())
        return await self._site.trips(call.asked.device, call.asked.limit)

    async def decisions(self, call: Call) -> Sequence[Decision]:
        if call.asked.device is not None:
            known(call.asked.device, self._devices())
        return await self._site.decisions(call.asked.device, call.asked.limit)

    async def history(self, call: Call) -> Sequence[HistoryPoint]:
        asked = call.asked
        known(asked.device, self._devices())
        end = asked.end or self._utc_now()
        start = asked.start or end - timedelta(days=1)
        if end <= start:
            raise ProblemError("invalid_request", "from must be before to")
        return await self._site.history(asked.device, start, end, asked.limit)

    async def patch_owner(self, call: Call) -> OwnerSettings:
        await self._site.set_owner(
            patched(self._site.view().owner, call.asked, self._devices(), self._utc_now())
        )
        return owner_view(self._site.view())

    async def request(self, call: Call) -> Request:
        device = call.path["device"]
        actuator(device, self._devices())
        if not call.idempotency_key or call.client is None:
            return await self._lease(device, call)
        key = (call.client.id, call.idempotency_key)
        question = f"{device} {encode(call.asked).decode()}"
        return self._replays.find(*key, question) or await self._lease(device, call, key, question)

    async def _lease(
        self, device: DeviceId, call: Call, key: tuple[str, str] | None = None, question: str = ""
    ) -> Request:
        request = new_request(uuid.uuid4().hex, device, call.asked, self._utc_now())
        if key:
            self._replays.keep(*key, question, request)  # before the wait, so that a hasty retry finds it
        try:
            await self._site.add_request(request)
        except BaseException:
            if key:
                self._replays.forget(*key)
            raise
        return request

    async def cancel_request(self, call: Call) -> None:
        actuator(call.path["device"], self._devices())
        await self._site.cancel_request(call.path["device"])

    async def set_need(self, call: Call) -> Need:
        need = new_need(call.path["device"], call.asked, self._devices(), self._utc_now())
        await self._site.set_need(need)
        return need

    async def clear_need(self, call: Call) -> None:
        known(call.path["device"], self._devices())
        await self._site.clear_need(call.path["device"])

    async def reserves(self, _call: Call) -> Sequence[ReserveView]:
        return reserve_views(self._site.view())

    async def offer_reserve(self, call: Call) -> ReserveView:
        source = call.client.name if call.client else ""
        sold = self._site.view().reserves
        window = new_reserve(uuid.uuid4().hex, source, call.asked, self._devices(), sold, self._utc_now())
        await self._site.add_reserve(window)
        return await self._judged(window.id)

    async def _judged(self, window_id: str) -> ReserveView:
        """Return a window as soon as control has judged it, or as it is after VERDICT_WAIT_S."""
        deadline = asyncio.get_running_loop().time() + VERDICT_WAIT_S
        while True:
            view = self._site.view()
            sold = reserve_views(view)
            shown = next((r for r in sold if r.id == window_id), None)
            if shown is None:
                raise ProblemError("refused", "The window was taken back meanwhile.")
            if shown.phase is not None or shown is not sold[0]:  # a later one is judged in its turn
                return shown
            try:
                async with asyncio.timeout_at(deadline):
                    await self._site.next_change(view.seq)
            except TimeoutError:
                return shown

    async def withdraw_reserve(self, call: Call) -> None:
        window = next((w for w in self._site.view().reserves if w.id == call.path["reserve"]), None)
        if window is None:
            raise ProblemError("unknown_reserve")
        if call.client and call.client.role is Role.AGGREGATOR and window.source != call.client.name:
            raise ProblemError("forbidden", "Another client sold this window.")
        await self._site.remove_reserve(window.id)

    async def inspected(self, call: Call) -> Acknowledgement:
        device = call.path["device"]
        actuator(device, self._devices())
        raised = {f.code for f in fault_views(self._site.view()) if f.device == device}
        if call.asked.code not in raised:
            raise ProblemError("invalid_request", f"{device} has no fault {call.asked.code!r}")
        expires_at = self._utc_now() + INSPECTION_HOLDS
        acknowledged = Acknowledgement(uuid.uuid4().hex, device, call.asked.code, expires_at)
        await self._site.acknowledge(acknowledged)
        return acknowledged

    async def stop(self, _call: Call) -> None:
        await self._site.stop(True)

    async def resume(self, _call: Call) -> None:
        await self._site.stop(False)

    async def grid_events(self, _call: Call) -> Sequence[GridEvent]:
        return self._site.view().events

    async def opt_out(self, call: Call) -> None:
        await self._opt(call, out=True)

    async def opt_in(self, call: Call) -> None:
        await self._opt(call, out=False)

    async def _opt(self, call: Call, *, out: bool) -> None:
        if not await self._site.opt_out(call.path["event"], out):
            raise ProblemError("unknown_event")

    async def add_utility(self, call: Call) -> UtilityCredentials:
        return await self._site.add_utility(call.asked.name)

    async def remove_utility(self, call: Call) -> None:
        if not await self._site.remove_utility(call.path["client"]):
            raise ProblemError("unknown_utility")

    async def tokens(self, _call: Call) -> Sequence[TokenView]:
        return self._tokens.views()

    async def add_token(self, call: Call) -> NewToken:
        token, secret = self._tokens.add(call.asked.name, call.asked.role, self._utc_now())
        return NewToken(token.id, secret, token.role)

    async def remove_token(self, call: Call) -> None:
        if not self._tokens.remove(call.path["token"]):
            raise ProblemError("unknown_token")

    def _devices(self) -> Mapping[DeviceId, DeviceInfo]:
        snapshot = self._site.view().snapshot
        if snapshot is None:
            raise ProblemError("unavailable", "The devices are not known yet; try again in a moment.")
        return snapshot.devices
