"""OpenADR clients that others wrote call our endpoint over TLS, as a utility would."""

import asyncio
import ipaddress
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.demand_response.room import DemandResponse
from gateway.model import EventStatus, WindowKind

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[2]
SCOPES = ["read_all", "write_programs", "write_events"]


@dataclass
class Endpoint:
    room: DemandResponse
    url: str
    client_id: str
    secret: str
    certificate: Path
    fingerprint: str


def identity(folder: Path) -> tuple[Path, str, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / "gateway.pem", folder / "gateway.key"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM
    key_path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return path, certificate.fingerprint(hashes.SHA256()).hex(), context


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Endpoint]:
    certificate, fingerprint, context = identity(folder)
    room = DemandResponse(
        folder / "state", context, "127.0.0.1", 0, usage_wh=lambda start, end: 250.0, changed=lambda: None
    )
    client_id, secret = room.add_utility("DSO")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(room.run())
        async with asyncio.timeout(5):
            while ":0/" in room.vtn_url:
                await asyncio.sleep(0.01)
        yield Endpoint(room, room.vtn_url, client_id, secret, certificate, fingerprint)
        task.cancel()
    room.close()


@pytest.fixture
async def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    async with serving(tmp_path) as endpoint:
        # Both clients take no certificate for their token request; these make their HTTP libraries trust ours.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(endpoint.certificate))
        monkeypatch.setenv("SSL_CERT_FILE", str(endpoint.certificate))
        yield endpoint


def elaad_posts_a_limit(endpoint: Endpoint, start: datetime) -> tuple[Any, Any]:
    from openadr3_client._models.common.interval import Interval
    from openadr3_client._models.common.interval_period import IntervalPeriod
    from openadr3_client.bl.http_factory import BusinessLogicHttpClientFactory
    from openadr3_client.oadr310.models.event.event import NewEvent
    from openadr3_client.oadr310.models.event.event_payload import (
        EventPayload,
        EventPayloadDescriptor,
        EventPayloadType,
    )
    from openadr3_client.oadr310.models.program.program import NewProgram
    from openadr3_client.oadr310.models.report.report_payload import ReportDescriptor, ReportPayloadType
    from openadr3_client.oadr310.models.unit import Unit
    from openadr3_client.version import OADRVersion

    client: Any = BusinessLogicHttpClientFactory.create_http_bl_client(
        endpoint.url,
        endpoint.client_id,
        endpoint.secret,
        scopes=SCOPES,
        verify_vtn_tls_certificate=endpoint.certificate,
        version=OADRVersion.OADR_310,
    )
    kind = EventPayloadType.IMPORT_CAPACITY_LIMIT
    program = client.programs.create_program(NewProgram(program_name="capacity"))
    made = client.events.create_event(
        NewEvent(
            programID=program.id,
            event_name="peak",
            payload_descriptors=(EventPayloadDescriptor(payload_type=kind, units=Unit.KW),),
            report_descriptors=(ReportDescriptor(payload_type=ReportPayloadType.USAGE, units=Unit.KWH),),
            interval_period=IntervalPeriod(start=start, duration=timedelta(minutes=5)),
            intervals=(
                Interval(id=0, payloads=(EventPayload(type=kind, values=(3.5,)),)),
                Interval(id=1, payloads=(EventPayload(type=kind, values=(2.5,)),)),
            ),
        )
    )
    return client, made


async def test_elaads_business_logic_client_limits_the_import_and_reads_it_back(endpoint: Endpoint) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    client, made = await asyncio.to_thread(elaad_posts_a_limit, endpoint, start)
    assert await asyncio.to_thread(client.events.get_event_by_id, made.id) == made
    windows = endpoint.room.windows(start + timedelta(seconds=1))
    assert [(w.kind, w.value, w.event_id) for w in windows] == [
        (WindowKind.IMPORT_LIMIT, 3500.0, made.id),
        (WindowKind.IMPORT_LIMIT, 2500.0, made.id),
    ]
    assert windows[1].ends_at == start + timedelta(minutes=10)


async def test_elaads_client_withdraws_a_limit(endpoint: Endpoint) -> None:
    client, made = await asyncio.to_thread(elaad_posts_a_limit, endpoint, datetime.now(UTC))
    await asyncio.to_thread(client.events.delete_event_by_id, made.id)
    assert endpoint.room.windows(datetime.now(UTC)) == ()
    assert [e.status for e in endpoint.room.events(datetime.now(UTC))] == [EventStatus.CANCELLED]


async def test_elaads_client_reads_our_usage_report(endpoint: Endpoint) -> None:
    client, made = await asyncio.to_thread(elaad_posts_a_limit, endpoint, datetime.now(UTC))
    endpoint.room._utc = lambda: datetime.now(UTC) + timedelta(minutes=11)
    endpoint.room.watch()
    (report,) = await asyncio.to_thread(client.reports.get_reports, None, None, made.id, None)
    (resource,) = report.resources
    assert [interval.payloads[0].values for interval in resource.intervals] == [(0.25,), (0.25,)]


async def test_the_openadr3_client_dispatches_and_changes_its_mind(endpoint: Endpoint) -> None:
    import openadr3

    now = datetime.now(UTC)

    def dispatch() -> str:
        token = openadr3.fetch_token(
            endpoint.url, endpoint.client_id, endpoint.secret, list(openadr3.BL_SCOPES)
        )
        with openadr3.create_bl_client(endpoint.url, token=token) as client:
            program = openadr3.body(client.create_program({"programName": "dispatch"}))["id"]
            event = {
                "programID": program,
                "intervalPeriod": {"start": now.isoformat(), "duration": "PT10M"},
                "intervals": [{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT", "values": [1.5]}]}],
            }
            made = openadr3.body(client.create_event(event))["id"]
            event["intervals"] = [{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT", "values": [-2.0]}]}]
            assert openadr3.success(client.update_event(made, event))
            (read,) = client.events()
            assert read.intervals[0].payloads[0].values == [-2.0]
            return str(made)

    made = await asyncio.to_thread(dispatch)
    (window,) = endpoint.room.windows(datetime.now(UTC))
    assert (window.kind, window.value, window.event_id) == (WindowKind.DISPATCH, -2000.0, made)


async def test_the_simulated_utility_pins_the_certificate(endpoint: Endpoint) -> None:
    async def run(fingerprint: str, *command: str) -> tuple[int | None, bytes]:
        access = [
            "--url",
            endpoint.url,
            "--client-id",
            endpoint.client_id,
            "--client-secret",
            endpoint.secret,
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.simulator.utility", *access, "--fingerprint", fingerprint, *command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode, output

    code, output = await run(endpoint.fingerprint, "limit", "--import-kw", "3", "--minutes", "5")
    assert code == 0
    (window,) = endpoint.room.windows(datetime.now(UTC))
    assert (window.value, window.event_id) == (3000.0, json.loads(output)["event_id"])
    assert await run(endpoint.fingerprint, "cancel", window.event_id) == (
        0,
        json.dumps({"cancelled": window.event_id}).encode() + b"\n",
    )
    assert endpoint.room.windows(datetime.now(UTC)) == ()
    assert await run("00" * 32, "events") == (1, b"")
