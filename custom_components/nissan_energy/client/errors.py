"""What can go wrong between the client and the gateway.

GatewayClientError
├── CannotConnect          no connection, no answer in time, or the gateway failed inside
│   └── InvalidResponse    something answered, but not with what a gateway says
├── FingerprintMismatch    the certificate is not the one that was pinned
├── AuthFailed             the token is not accepted (any more)
├── InvalidRequest         the gateway understood and said no; ``code`` is stable
└── VersionTooOld          gateway and client have no API version in common
"""

from typing import Literal


class GatewayClientError(Exception):
    """Root of all errors of this client."""


class CannotConnect(GatewayClientError):
    """No connection, no answer in time, or the gateway failed inside."""


class InvalidResponse(CannotConnect):
    """Something answered, but not with what a gateway says."""


class FingerprintMismatch(GatewayClientError):
    """The certificate is not the one that was pinned."""


class AuthFailed(GatewayClientError):
    """The token is not accepted (any more)."""


class InvalidRequest(GatewayClientError):
    """The gateway understood and said no: ``code`` is stable snake_case, ``detail`` is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class VersionTooOld(GatewayClientError):
    """Gateway and client have no API version in common; ``older`` is the one to update."""

    def __init__(self, older: Literal["gateway", "integration"]) -> None:
        super().__init__(f"the {older} is too old for the other side")
        self.older: Literal["gateway", "integration"] = older
