"""The table of routes: paths, who may use them, what goes in, what comes out, and what can go wrong."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.api.control_view import ReserveView
from gateway.api.forecasts import ForecastsView, PlanView, PricesBody, SeriesBody, TripsBody
from gateway.api.schema import (
    FaultView,
    Info,
    NewToken,
    Paired,
    Role,
    SiteView,
    TokenView,
)
from gateway.api.site import EquipmentState, UtilityCredentials
from gateway.api.wishes import (
    HistoryQuery,
    InspectedBody,
    NeedBody,
    NewestQuery,
    OwnerPatch,
    PairBody,
    RequestBody,
    ReserveBody,
    TokenBody,
    UtilityBody,
)
from gateway.model import (
    Acknowledgement,
    Decision,
    GridEvent,
    HistoryPoint,
    Need,
    OwnerSettings,
    Request,
    Trip,
)


class Permission(StrEnum):
    """What a route asks of a token."""

    PUBLIC = "public"
    READ = "read"
    COMMAND = "command"
    MARKET = "market"
    SETTINGS = "settings"
    ACCESS = "access"


ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.INSTALLER: frozenset({Permission.PUBLIC, Permission.READ, Permission.COMMAND}),
    Role.AGGREGATOR: frozenset({Permission.PUBLIC, Permission.READ, Permission.MARKET}),
    Role.VIEWER: frozenset({Permission.PUBLIC, Permission.READ}),
}


@dataclass(frozen=True, slots=True)
class Route:
    """One row: ``name`` is the method that answers, ``answer`` the type of a good answer's body, None for an empty one."""

    method: str
    path: str
    name: str
    summary: str
    permission: Permission
    status: int
    answer: Any = None
    body: Any = None
    query: Any = None
    problems: tuple[str, ...] = ()


READ, COMMAND, MARKET = Permission.READ, Permission.COMMAND, Permission.MARKET
SETTINGS, ACCESS = Permission.SETTINGS, Permission.ACCESS

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/info", "info", "Say who this gateway is", Permission.PUBLIC, 200, Info),
    Route(
        "POST",
        "/v1/pair",
        "pair",
        "Trade the one-time code for an owner's token",
        Permission.PUBLIC,
        201,
        Paired,
        PairBody,
        problems=("wrong_code", "pairing_closed", "too_many_attempts"),
    ),
    Route("GET", "/v1/openapi.json", "openapi", "This document", Permission.PUBLIC, 200, dict),
    Route("GET", "/v1/state", "state", "The whole site", READ, 200, SiteView),
    Route(
        "GET",
        "/v1/ws",
        "ws",
        "WebSocket: hello, snapshot, then changes and heartbeats",
        READ,
        101,
        problems=("too_many_streams",),
    ),
    Route("GET", "/v1/plan", "plan", "The whole plan and why, null without one", READ, 200, PlanView | None),
    Route(
        "GET",
        "/v1/forecasts",
        "forecasts",
        "Prices, forecasts that were handed in, and how right ours were",
        READ,
        200,
        ForecastsView,
    ),
    Route(
        "PUT",
        "/v1/forecasts/prices",
        "put_prices",
        "Hand in prices, of the market where the tariff is a dynamic one",
        COMMAND,
        204,
        body=PricesBody,
    ),
    Route(
        "PUT",
        "/v1/forecasts/solar",
        "put_solar",
        "Hand in what the sun will give",
        COMMAND,
        204,
        body=SeriesBody,
    ),
    Route(
        "PUT",
        "/v1/forecasts/load",
        "put_load",
        "Hand in what the house will draw",
        COMMAND,
        204,
        body=SeriesBody,
    ),
    Route(
        "PUT",
        "/v1/forecasts/carbon",
        "put_carbon",
        "Hand in the grid's carbon",
        COMMAND,
        204,
        body=SeriesBody,
    ),
    Route(
        "PUT",
        "/v1/forecasts/trips",
        "put_trips",
        "Announce the cars' journeys",
        COMMAND,
        204,
        body=TripsBody,
        problems=("unknown_device",),
    ),
    Route(
        "GET",
        "/v1/decisions",
        "decisions",
        "What was decided and why, newest first",
        READ,
        200,
        list[Decision],
        query=NewestQuery,
        problems=("unknown_device",),
    ),
    Route(
        "GET",
        "/v1/history",
        "history",
        "Thinned samples of a device, oldest first",
        READ,
        200,
        list[HistoryPoint],
        query=HistoryQuery,
        problems=("unknown_device",),
    ),
    Route(
        "GET",
        "/v1/trips",
        "trips",
        "What the cars' trips took, newest first",
        READ,
        200,
        list[Trip],
        query=NewestQuery,
        problems=("unknown_device",),
    ),
    Route(
        "GET",
        "/v1/equipment",
        "equipment",
        "Is each device fit, wired right, and its fail-safe proven",
        READ,
        200,
        dict[str, EquipmentState],
    ),
    Route("GET", "/v1/faults", "faults", "Active faults", READ, 200, list[FaultView]),
    Route(
        "PATCH",
        "/v1/owner",
        "patch_owner",
        "Change the owner's standing wishes",
        SETTINGS,
        200,
        OwnerSettings,
        OwnerPatch,
        problems=("unknown_device",),
    ),
    Route(
        "POST",
        "/v1/devices/{device}/request",
        "request",
        "Command a device for a while; an Idempotency-Key header makes a retry safe",
        COMMAND,
        202,
        Request,
        RequestBody,
        problems=("unknown_device", "idempotency_key_reused"),
    ),
    Route(
        "DELETE",
        "/v1/devices/{device}/request",
        "cancel_request",
        "Give a device back to automatic",
        COMMAND,
        204,
        problems=("unknown_device",),
    ),
    Route(
        "POST",
        "/v1/devices/{device}/inspected",
        "inspected",
        "Say that a fault was inspected on the spot; the device decides whether that lifts it",
        COMMAND,
        202,
        Acknowledgement,
        InspectedBody,
        problems=("unknown_device",),
    ),
    Route(
        "PUT",
        "/v1/devices/{device}/need",
        "set_need",
        "Say what the car at a charger still has to take before it leaves",
        COMMAND,
        200,
        Need,
        NeedBody,
        problems=("unknown_device",),
    ),
    Route(
        "DELETE",
        "/v1/devices/{device}/need",
        "clear_need",
        "Forget that the car has to take anything",
        COMMAND,
        204,
        problems=("unknown_device",),
    ),
    Route("GET", "/v1/reserves", "reserves", "Sold frequency reserve", READ, 200, list[ReserveView]),
    Route(
        "POST",
        "/v1/reserves",
        "offer_reserve",
        "Sell frequency reserve; the answer waits a moment for control's verdict",
        MARKET,
        201,
        ReserveView,
        ReserveBody,
        problems=("unknown_device",),
    ),
    Route(
        "DELETE",
        "/v1/reserves/{reserve}",
        "withdraw_reserve",
        "Take a window back; an aggregator only its own",
        MARKET,
        204,
        problems=("unknown_reserve",),
    ),
    Route("POST", "/v1/stop", "stop", "Stop: all to 0 W, contactors open, until lifted", COMMAND, 202),
    Route("DELETE", "/v1/stop", "resume", "Lift the stop", COMMAND, 204),
    Route("GET", "/v1/grid-events", "grid_events", "The utilities' calls", READ, 200, list[GridEvent]),
    Route(
        "POST",
        "/v1/grid-events/{event}/opt-out",
        "opt_out",
        "Leave a call",
        SETTINGS,
        204,
        problems=("unknown_event",),
    ),
    Route(
        "DELETE",
        "/v1/grid-events/{event}/opt-out",
        "opt_in",
        "Rejoin a call",
        SETTINGS,
        204,
        problems=("unknown_event",),
    ),
    Route(
        "POST",
        "/v1/utilities",
        "add_utility",
        "Let a utility in; its secret is told once",
        ACCESS,
        201,
        UtilityCredentials,
        UtilityBody,
    ),
    Route(
        "DELETE",
        "/v1/utilities/{client}",
        "remove_utility",
        "Shut a utility out",
        ACCESS,
        204,
        problems=("unknown_utility",),
    ),
    Route("GET", "/v1/tokens", "tokens", "Paired clients", ACCESS, 200, list[TokenView]),
    Route("POST", "/v1/tokens", "add_token", "Make a token of any role", ACCESS, 201, NewToken, TokenBody),
    Route(
        "DELETE",
        "/v1/tokens/{token}",
        "remove_token",
        "Shut a client out; its streams are closed",
        ACCESS,
        204,
        problems=("unknown_token",),
    ),
)
