"""Lets Home Assistant find the gateway: ``_nissan-energy._tcp.local.`` by multicast DNS."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import zeroconf
from zeroconf import get_all_addresses  # type: ignore[attr-defined] # public, but not in __all__
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from gateway.api.schema import API_VERSION
from gateway.api.site import SiteIdentity

LOGGER = logging.getLogger(__name__)
SERVICE = "_nissan-energy._tcp.local."


@asynccontextmanager
async def advertised(who: SiteIdentity, fingerprint: str, bind: str, port: int) -> AsyncIterator[None]:
    """Advertise while the context lasts, on the bound interface alone unless ``bind`` is a wildcard; failing is no error."""
    responder = None
    try:
        try:
            responder = AsyncZeroconf(interfaces=_interfaces(bind), ip_version=zeroconf.IPVersion.V4Only)
            service = _service(who, fingerprint, bind, port)
            await (await responder.async_register_service(service, allow_name_change=True))
        except (OSError, zeroconf.Error) as error:
            LOGGER.warning("Not advertised by multicast DNS (%s); clients need the address", error)
        yield
    finally:
        if responder is not None:
            await responder.async_unregister_all_services()
            await responder.async_close()


def _interfaces(bind: str) -> list[str] | zeroconf.InterfaceChoice:
    return zeroconf.InterfaceChoice.All if ip_address(bind).is_unspecified else [bind]


def _service(who: SiteIdentity, fingerprint: str, bind: str, port: int) -> AsyncServiceInfo:
    addresses = [bind]
    if ip_address(bind).is_unspecified:
        addresses = [a for a in get_all_addresses() if not ip_address(a).is_loopback]
    host = "nissan-energy-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in who.serial)[:40]
    return AsyncServiceInfo(
        SERVICE,
        f"{host}.{SERVICE}",
        addresses=[socket.inet_aton(a) for a in addresses],
        port=port,
        properties={"serial": who.serial, "name": who.name, "api": str(API_VERSION), "fp": fingerprint},
        server=f"{host}.local.",
    )
