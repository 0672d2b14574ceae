"""The gateway's TLS identity: a self-signed certificate made once, which clients pin by its fingerprint."""

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.api.access import write_private
from gateway.faults import ConfigError

IDENTITY_FILE = "identity.pem"

# A pinned certificate needs no dates, and a box without a battery clock may start in 1970: RFC 5280 4.1.2.5.
NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """``fingerprint`` is the SHA-256 of the certificate (DER) in lower-case hex."""

    context: ssl.SSLContext
    fingerprint: str


def load_identity(state_dir: Path, serial: str) -> Identity:
    """Return the identity kept in ``state_dir``, made on the first call. Raises ConfigError when it is damaged."""
    path = state_dir / IDENTITY_FILE
    if not path.exists():
        write_private(path, _make(serial))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(path)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"{path}: cannot be read ({error}); delete it and pair all clients again"
        ) from error
    return Identity(context, hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest())


def _make(serial: str) -> bytes:
    """Return key and certificate as PEM, in one file so that they cannot be parted."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"nissan-energy {serial}"[:64])])
    hosts = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)
