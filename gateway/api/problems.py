"""Every error of the API: its stable code, its status, and its text."""

from dataclasses import dataclass
from http import HTTPStatus

PROBLEMS: dict[str, tuple[HTTPStatus, str]] = {
    "malformed_json": (HTTPStatus.BAD_REQUEST, "The body is not JSON."),
    "bad_request": (HTTPStatus.BAD_REQUEST, "The request is not what this path takes."),
    "unauthorized": (HTTPStatus.UNAUTHORIZED, "The bearer token is missing or unknown."),
    "forbidden": (HTTPStatus.FORBIDDEN, "The token's role may not do this."),
    "wrong_code": (HTTPStatus.FORBIDDEN, "The pairing code is wrong."),
    "not_found": (HTTPStatus.NOT_FOUND, "There is no such path."),
    "unknown_device": (HTTPStatus.NOT_FOUND, "There is no such device."),
    "unknown_event": (HTTPStatus.NOT_FOUND, "There is no such grid event."),
    "unknown_utility": (HTTPStatus.NOT_FOUND, "There is no such utility."),
    "unknown_reserve": (HTTPStatus.NOT_FOUND, "There is no such window of reserve."),
    "unknown_token": (HTTPStatus.NOT_FOUND, "There is no such token."),
    "method_not_allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "The path does not know this method."),
    "pairing_closed": (HTTPStatus.CONFLICT, "No pairing is open; open one at the gateway."),
    "refused": (HTTPStatus.CONFLICT, "The site said no; the detail tells why."),
    "body_too_large": (HTTPStatus.CONTENT_TOO_LARGE, "The body is larger than 64 KiB."),
    "invalid_request": (
        HTTPStatus.UNPROCESSABLE_CONTENT,
        "A field is unknown, of the wrong type, or out of range; the detail names it.",
    ),
    "idempotency_key_reused": (
        HTTPStatus.UNPROCESSABLE_CONTENT,
        "The Idempotency-Key was used for another request.",
    ),
    "too_many_attempts": (
        HTTPStatus.TOO_MANY_REQUESTS,
        "Five wrong codes closed the pairing; open it anew at the gateway.",
    ),
    "too_many_requests": (HTTPStatus.TOO_MANY_REQUESTS, "Slow down; Retry-After tells by how many seconds."),
    "internal_error": (HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed; its log has the reason."),
    "unavailable": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The part of the gateway that is needed does not answer.",
    ),
    "too_many_streams": (HTTPStatus.SERVICE_UNAVAILABLE, "Too many WebSockets are open."),
    "timed_out": (HTTPStatus.GATEWAY_TIMEOUT, "The gateway did not answer in time."),
}


class ProblemError(Exception):
    """An error that is told to the client; ``code`` is a key of PROBLEMS, ``detail`` replaces its text."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.status, text = PROBLEMS[code]
        self.detail = detail or text
        super().__init__(self.detail)


@dataclass(frozen=True, slots=True)
class Problem:
    """The body of every error (RFC 9457); ``code`` is stable and for programs, ``detail`` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


def problem(error: ProblemError) -> Problem:
    """Return the body that tells ``error``."""
    return Problem("about:blank", error.status.phrase, error.status, error.code, error.detail)
