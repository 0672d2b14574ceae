"""The gateway is found on loopback, and not being found is no disaster."""

import logging

import zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from gateway.api import discovery
from gateway.api.discovery import SERVICE, advertised
from gateway.api.site import SiteIdentity

WHO = SiteIdentity("NE 0001", "Maple Street.", "0.1.0", "UTC")


async def test_it_is_found_with_its_serial_and_fingerprint():
    seeker = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=zeroconf.IPVersion.V4Only)
    try:
        async with advertised(WHO, "ab" * 32, "127.0.0.1", 8443):
            found = AsyncServiceInfo(SERVICE, f"nissan-energy-NE-0001.{SERVICE}")
            assert await found.async_request(seeker.zeroconf, 5000)
            assert found.port == 8443
            assert found.parsed_addresses() == ["127.0.0.1"]
            assert found.decoded_properties == {
                "serial": "NE 0001",
                "name": "Maple Street.",
                "api": "1",
                "fp": "ab" * 32,
            }
    finally:
        await seeker.async_close()


async def test_a_network_without_multicast_is_logged_once_and_forgiven(monkeypatch, caplog):
    def no_network(**_options):
        raise OSError("no such device")

    monkeypatch.setattr(discovery, "AsyncZeroconf", no_network)
    with caplog.at_level(logging.WARNING):
        async with advertised(WHO, "ab" * 32, "127.0.0.1", 8443):
            pass
    assert len(caplog.records) == 1
