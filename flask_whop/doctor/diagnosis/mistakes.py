"""The known mistakes that keep a signature from matching, with what to do about each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Mistake(str, Enum):
    """Why a signature did not match, for programs to read."""

    SECRET_BASE64 = "secret_base64"  # noqa: S105  # its name
    SECRET_PREFIX = "secret_prefix"  # noqa: S105  # its name
    SECRET_BLANKS = "secret_blanks"  # noqa: S105  # its name
    SECRET_QUOTED = "secret_quoted"  # noqa: S105  # its name
    SECRET_WITH_NAME = "secret_with_name"  # noqa: S105  # its name
    SECRET_ELSEWHERE = "secret_elsewhere"  # noqa: S105  # its name
    SECRET_NOT_WHOPS = "secret_not_whops"  # noqa: S105  # its name
    SENDER_DECODES = "sender_decodes"
    SENDER_ALTERS = "sender_alters"
    BODY_LINE_ENDINGS = "body_line_endings"
    BODY_ENDS = "body_ends"
    BODY_RESERIALISED = "body_reserialised"
    BODY_EATEN = "body_eaten"
    BODY_EMPTY = "body_empty"
    OLD_FORMAT = "old_format"
    CLOCK_FAST = "clock_fast"
    CLOCK_SLOW = "clock_slow"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The mistake that explains a request; no secret and no signature is in it."""

    mistake: Mistake
    what: str
    """What was found."""
    why: str
    """Why the signature cannot match that way."""
    mend: str
    """What to do about it."""

    def __str__(self) -> str:
        """Say it in three sentences, for a log."""
        return f"{self.what} {self.why} {self.mend}"


class _Texts(NamedTuple):
    what: str
    why: str
    mend: str


def diagnosis(mistake: Mistake, **words: object) -> Diagnosis:
    """Make the diagnosis of ``mistake``; ``words`` fill the gaps of its text."""
    return Diagnosis(mistake, *(text.format_map(words) for text in _TEXTS[mistake]))


_KEY_RULE = "Whop's key is the text of the whole secret, ws_ included: nothing is decoded, added or cut off."
_AS_SHOWN = "Set {where} to the secret just as Whop shows it: ws_ and 64 hex digits."
_BODY_RULE = "Whop signs the bytes that it sends, so that a body which is changed on its way does not match."
_LEAVE_BODY = (
    "Find what stands between Whop and the app (a proxy, a gateway, a serverless adapter, WSGI middleware) and let"
    " it pass the bytes on as they are."
)
_NOT_WHOP = "Whop itself does not sign that way: this comes from a test sender, or another library."

_TEXTS = {
    Mistake.SECRET_BASE64: _Texts(
        "{where} is base64 of the secret, or has whsec_ in front of it; the secret itself matches.",
        _KEY_RULE,
        _AS_SHOWN + " Older guides say to encode it; do not.",
    ),
    Mistake.SECRET_PREFIX: _Texts(
        "{where} has lost the ws_ at its start; with it, the signature matches.", _KEY_RULE, _AS_SHOWN
    ),
    Mistake.SECRET_BLANKS: _Texts(
        "{where} has a newline, white space or another stray character around it; without, the signature matches.",
        _KEY_RULE,
        _AS_SHOWN + " Look at where it comes from: a file with a newline at its end, or a copy from a web page.",
    ),
    Mistake.SECRET_QUOTED: _Texts(
        "{where} has quotes around it; without them, the signature matches.",
        _KEY_RULE,
        "Take the quotes away: an .env file that Docker or systemd reads keeps them as a part of the value.",
    ),
    Mistake.SECRET_WITH_NAME: _Texts(
        "{where} holds a whole line NAME=secret; the secret alone matches.", _KEY_RULE, _AS_SHOWN
    ),
    Mistake.SECRET_ELSEWHERE: _Texts(
        "The request is signed with the secret of {elsewhere}, and not with that of this app.",
        "Each webhook at Whop has a secret of its own, those of the sandbox too, and this one is another's.",
        "If the webhook is to deliver here, add its secret: WHOP_WEBHOOK_SECRET may be a list of several."
        " Otherwise correct the address of the webhook at Whop.",
    ),
    Mistake.SECRET_NOT_WHOPS: _Texts(
        "No configured secret has the form of Whop's, which is ws_ and 64 hex digits.",
        "Nothing that Whop signs can match. An API key, the id of the webhook, or a default in the code for a"
        " variable that is not set are what is mostly found there.",
        "Whop shows the secret once, when a webhook is created. If it is lost, create a new webhook and set"
        " {where} to its secret.",
    ),
    Mistake.SENDER_DECODES: _Texts(
        "The request is signed with what comes of {where} when it is taken for base64 and decoded.",
        _KEY_RULE + " " + _NOT_WHOP,
        "With standardwebhooks, let the sender write Webhook(secret.encode()): text is decoded there, and bytes are"
        " not. flask_whop.testing.signed() signs as Whop does.",
    ),
    Mistake.SENDER_ALTERS: _Texts(
        "The request is signed with {where} in another form: encoded, without its ws_, or with something around it.",
        _KEY_RULE + " " + _NOT_WHOP,
        "Let the sender use the secret as it is; flask_whop.testing.signed() signs as Whop does.",
    ),
    Mistake.BODY_LINE_ENDINGS: _Texts(
        "The line endings of the body have been changed; with the other kind, the signature matches.",
        _BODY_RULE,
        _LEAVE_BODY,
    ),
    Mistake.BODY_ENDS: _Texts(
        "White space, a newline or a byte order mark at an end of the body has been added or taken away.",
        _BODY_RULE,
        _LEAVE_BODY + " If the request was captured by hand, the editor may have added the newline.",
    ),
    Mistake.BODY_RESERIALISED: _Texts(
        "The body has been parsed as JSON and written again, with other spaces, escapes or order; as it was before,"
        " the signature matches.",
        _BODY_RULE,
        _LEAVE_BODY + " What forwards a delivery forwards its raw bytes, not json.dumps() of them.",
    ),
    Mistake.BODY_EATEN: _Texts(
        "The request announces a body of {length} bytes, and none of it is left.",
        "Something reads the stream before the webhook's route does: WSGI middleware that logs or inspects requests,"
        " an url_value_preprocessor of the app, or a receiver of Flask's request_started.",
        "Let it leave the webhook's route alone, or put the bytes back: environ['wsgi.input'] = io.BytesIO(body)."
        " flask whop doctor tells who it is.",
    ),
    Mistake.BODY_EMPTY: _Texts(
        "The request has no body at all.",
        "Whop always sends one. A proxy that turns a redirect into a second request drops it, and so does one that"
        " does not know chunked bodies.",
        "If Whop sent this, give Whop the final https address of the route, and look at what stands before the app.",
    ),
    Mistake.OLD_FORMAT: _Texts(
        "This is a delivery of a webhook of Whop's old kind (v2 or v5), signed in x-whop-signature with the secret of"
        " {elsewhere}.",
        "It has no event id, and other payloads; this library takes v1 webhooks.",
        "Create a v1 webhook at Whop, set WHOP_WEBHOOK_SECRET to its secret, and remove the old one when the new one"
        " delivers.",
    ),
    Mistake.CLOCK_FAST: _Texts(
        "The signature is good, and {age} seconds old; the tolerance is {tolerance}.",
        "Whop signs anew at each try, so that this machine's clock is fast by about that much, or the request was"
        " held back, or sent again by somebody who had seen it.",
        "Compare the clock with a time server (timedatectl, chronyc tracking). If it is right, look for a queue"
        " between Whop and the app. Leave WHOP_WEBHOOK_TOLERANCE as it is.",
    ),
    Mistake.CLOCK_SLOW: _Texts(
        "The signature is good, and {age} seconds ahead of this machine's clock; the tolerance is {tolerance}.",
        "This machine's clock is slow by about that much.",
        "Set the clock by a time server (timedatectl, chronyc tracking). Leave WHOP_WEBHOOK_TOLERANCE as it is.",
    ),
}
