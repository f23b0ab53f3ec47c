"""All exceptions of the library, in one tree.

::

    FlaskWhopError
    ├── ConfigError (ValueError)            at start: a setting is unusable
    ├── SetupError (RuntimeError)           at start: the extension is used wrongly
    ├── ReceiverError (TypeError)           at connect: the function can't be a receiver
    ├── UnknownEventError (LookupError)     at connect: no event has this name
    ├── MissingExtraError (ImportError)     an optional package isn't installed
    ├── ApiError                            Whop's API refuses a call, or can't be reached
    ├── CurrencyMismatch (TypeError)        amounts of two currencies were added or compared
    ├── StoreUnavailable                    503: the store can't be reached
    │   └── BacklogFull                     503: too many deliveries wait to be run
    ├── ClaimLost                           another process took the delivery over: nothing was written
    ├── StaleEvent                          a newer event was handled meanwhile: the receiver's writes are rolled back
    ├── NotReplayable                       a delivery is running, or its payload is gone
    ├── NotJoined                           a receiver's writes can't be committed together with its receipt
    ├── ProcessDied                         a receiver never returned: its process was killed, or hung
    ├── ReceiverExited                      a receiver was ended by a BaseException, such as that of sys.exit()
    ├── Rejected                            401, 400, 403 or 413: a request isn't a delivery for this app
    ├── GiveUp                              raise it in a receiver: don't call me again with this event
    ├── RetryLater                          503: raise it in a receiver: call me again later
    ├── CaptureError (ValueError)           flask whop doctor --request: a captured request can't be read
    ├── CheckFailed (AssertionError)        in tests: an expectation wasn't met, or there is no such field
    └── ScriptedFailure                     in tests: a receiver fails as its script says
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import overload


class FlaskWhopError(Exception):
    """The root of all exceptions of this library."""


class ConfigError(FlaskWhopError, ValueError):
    """A setting is missing or unusable; the message names it and says what to do."""


class SetupError(FlaskWhopError, RuntimeError):
    """The extension is used in a way that can't work."""


class ReceiverError(FlaskWhopError, TypeError):
    """A receiver can't work as it is written; the message says what to write instead."""


class UnknownEventError(FlaskWhopError, LookupError):
    """No event that Whop sends has this name."""


class MissingExtraError(FlaskWhopError, ImportError):
    """An optional package isn't installed; the message says how to install it."""


class ApiError(FlaskWhopError):
    """Whop's API refuses a call, can't be reached, or answers what can't be read.

    The message says what to do, and holds no key, secret or payload.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status of the last answer; None if there was none."""


class CurrencyMismatch(FlaskWhopError, TypeError):
    """Amounts of two currencies were added, subtracted or ordered; convert one of them first."""


class StoreUnavailable(FlaskWhopError):
    """A store can't be reached, so nothing can be promised, and Whop must retry."""


class BacklogFull(StoreUnavailable):
    """As many deliveries wait to be run as ``WHOP_MOST_DUE`` allows, so Whop must keep what comes, and retry."""


class ClaimLost(FlaskWhopError):
    """A delivery's lease ran out and another process took it over; the late holder changes nothing."""


class StaleEvent(FlaskWhopError):
    """A newer event about the same resource was handled at the same time; the stale one's writes are rolled back."""


class NotReplayable(FlaskWhopError):
    """A delivery can't be replayed: it doesn't exist, is running now, or its payload is gone."""


class NotJoined(FlaskWhopError):
    """A receiver's writes can't be committed together with its receipt; the message says why."""


class ProcessDied(FlaskWhopError):
    """A receiver never returned: its process was killed, crashed, or hung for too long."""


class ReceiverExited(FlaskWhopError):
    """A receiver was ended by something other than an ``Exception``, its ``__cause__``: an exit, say, or a timeout."""


class GiveUp(FlaskWhopError):
    """Raise it in a receiver that will never succeed with this event.

    The failure is final: no retry calls the receiver with this event again.
    """


class RetryLater(FlaskWhopError):
    """Raise it in a receiver that can't succeed now, but would later.

    ``RetryLater(300)``, ``RetryLater(timedelta(minutes=5))`` or ``RetryLater("the bank is
    closed", after=300)``: the wait is in seconds or a ``timedelta``, by default a minute
    and at least a second. If the retry is Whop's, it is only a wish: Whop has its own
    schedule.

    The constructor raises :class:`ReceiverError` for anything that isn't a time.
    """

    after: float = 60.0
    """How many seconds to wait, 1 or more."""

    @overload
    def __init__(self, message: str = "", *, after: float | timedelta = 60.0) -> None: ...
    @overload
    def __init__(self, after: float | timedelta, /) -> None: ...
    def __init__(self, message: str | float | timedelta = "", *, after: float | timedelta | None = None) -> None:
        if isinstance(message, str):
            super().__init__(message)
            self.after = _seconds(60.0 if after is None else after)
        elif after is None:
            super().__init__()
            self.after = _seconds(message)
        else:
            raise ReceiverError(f"RetryLater takes one time to wait; it got two: {message!r} and {after!r}.")


def _seconds(wait: float | timedelta) -> float:
    seconds: object = wait.total_seconds() if isinstance(wait, timedelta) else wait
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not abs(seconds) < _FOREVER:
        raise ReceiverError(f"RetryLater takes a number of seconds or a timedelta; it got {wait!r}.")
    return max(1.0, float(seconds))


_FOREVER = 1e9  # about thirty years; no retry lasts as long


class CaptureError(FlaskWhopError, ValueError):
    """A captured request can't be read; the message says what it must look like."""


class CheckFailed(FlaskWhopError, AssertionError):
    """Deliveries didn't do what a test expects, or the test names a field or a file that isn't there.

    The message says which.
    """


class ScriptedFailure(FlaskWhopError):
    """A scripted receiver of the test kit fails, as its script says."""


class Reason(str, Enum):
    """Why a request was rejected, as a value for programs."""

    BODY_TOO_LARGE = "body_too_large"
    BODY_EATEN = "body_eaten"
    BODY_INCOMPLETE = "body_incomplete"
    BODY_UNREADABLE = "body_unreadable"
    BODY_ENCODED = "body_encoded"
    BODY_NOT_UTF8 = "body_not_utf8"
    HEADERS_MISSING = "headers_missing"
    OLD_FORMAT = "old_format"
    ID_MALFORMED = "id_malformed"
    TIMESTAMP_MALFORMED = "timestamp_malformed"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_TOO_NEW = "timestamp_too_new"
    SIGNATURE_MALFORMED = "signature_malformed"
    SIGNATURE_MISMATCH = "signature_mismatch"
    NOT_A_JSON_OBJECT = "not_a_json_object"
    NESTED_TOO_DEEPLY = "nested_too_deeply"
    NUMBER_TOO_LONG = "number_too_long"
    FOREIGN_ACCOUNT = "foreign_account"

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return _STATUS.get(self, 401)

    @property
    def advice(self) -> str:
        """What the app's operator can do about it, for the log."""
        return _ADVICE[self]


_STATUS = {
    Reason.BODY_TOO_LARGE: 413,
    Reason.BODY_EATEN: 400,
    Reason.BODY_INCOMPLETE: 400,
    Reason.BODY_UNREADABLE: 400,
    Reason.NOT_A_JSON_OBJECT: 400,
    Reason.NESTED_TOO_DEEPLY: 400,
    Reason.NUMBER_TOO_LONG: 400,
    Reason.FOREIGN_ACCOUNT: 403,
}

_ADVICE = {
    Reason.BODY_TOO_LARGE: "the body exceeds WHOP_WEBHOOK_MAX_BYTES; raise it if Whop sent this",
    Reason.BODY_EATEN: (
        "the request announces a body, and nothing of it is left to read: some middleware or hook of"
        " the app reads the stream before the webhook route; let it leave that route alone"
    ),
    Reason.BODY_INCOMPLETE: "the sender hung up before the whole body had arrived",
    Reason.BODY_UNREADABLE: "the body couldn't be read to its end: its chunks are malformed, or the sender hung up",
    Reason.BODY_ENCODED: (
        "the body is compressed or otherwise encoded, as its Content-Encoding says; Whop signs and sends plain JSON,"
        " so make whatever is between Whop and the app pass it on unchanged"
    ),
    Reason.BODY_NOT_UTF8: "the body isn't UTF-8, but everything that Whop sends is",
    Reason.HEADERS_MISSING: (
        "webhook-id, webhook-timestamp or webhook-signature is missing; if Whop sent this, something"
        " between Whop and the app drops the headers"
    ),
    Reason.OLD_FORMAT: (
        "this is a webhook of Whop's legacy format (v2 or v5, signed in x-whop-signature); create a v1 webhook at Whop"
        " and configure its secret, or set WHOP_LEGACY_WEBHOOKS = True to take it as it is"
    ),
    Reason.ID_MALFORMED: "webhook-id doesn't have the form of Whop's ids",
    Reason.TIMESTAMP_MALFORMED: "webhook-timestamp isn't a whole number of seconds",
    Reason.TIMESTAMP_TOO_OLD: (
        "webhook-timestamp is further back than WHOP_WEBHOOK_TOLERANCE: a replay, or this machine's clock is fast"
    ),
    Reason.TIMESTAMP_TOO_NEW: (
        "webhook-timestamp is further ahead than WHOP_WEBHOOK_TOLERANCE: this machine's clock is slow"
    ),
    Reason.SIGNATURE_MALFORMED: "webhook-signature holds no v1 signature",
    Reason.SIGNATURE_MISMATCH: (
        "no configured secret matches; WHOP_WEBHOOK_SECRET must be the secret of this very webhook,"
        " whole and just as Whop shows it, from ws_ to its last digit"
    ),
    Reason.NOT_A_JSON_OBJECT: "the signature is good, but the body isn't a JSON object",
    Reason.NESTED_TOO_DEEPLY: "the signature is good, and the JSON of the body is nested deeper than can be read",
    Reason.NUMBER_TOO_LONG: "the signature is good, and the JSON of the body has a number of too many digits",
    Reason.FOREIGN_ACCOUNT: "the event is of an account that WHOP_ACCOUNTS doesn't list",
}


class Rejected(FlaskWhopError):
    """A request isn't a delivery that the app may act on."""

    def __init__(self, reason: Reason, delivery_id: str | None = None) -> None:
        super().__init__(reason.advice)
        self.reason = reason
        """Why, as a value for programs."""
        self.delivery_id = delivery_id
        """The claimed ``webhook-id``, if it is well-formed; it isn't verified."""
