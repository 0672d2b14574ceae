"""The certificate is made once, and is what clients pin."""

import ssl
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1

from gateway.api.identity import IDENTITY_FILE, load_identity
from gateway.faults import ConfigError


def test_it_is_made_once_and_kept_private(tmp_path):
    first = load_identity(tmp_path, "NE-0001")
    assert load_identity(tmp_path, "NE-0001").fingerprint == first.fingerprint
    assert stat.S_IMODE((tmp_path / IDENTITY_FILE).stat().st_mode) == 0o600
    assert first.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_two_gateways_share_nothing(tmp_path):
    (tmp_path / "other").mkdir()
    assert load_identity(tmp_path, "1").fingerprint != load_identity(tmp_path / "other", "1").fingerprint


def test_it_is_a_p_256_leaf_that_does_not_expire(tmp_path):
    load_identity(tmp_path, "NE-0001 " * 20)
    certificate = x509.load_pem_x509_certificate((tmp_path / IDENTITY_FILE).read_bytes())
    assert isinstance(certificate.public_key().curve, SECP256R1)
    assert certificate.not_valid_after_utc.year == 9999
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_a_damaged_one_is_not_replaced_silently(tmp_path):
    (tmp_path / IDENTITY_FILE).write_text("nonsense")
    with pytest.raises(ConfigError, match="pair all clients again"):
        load_identity(tmp_path, "NE-0001")
