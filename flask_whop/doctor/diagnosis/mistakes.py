"""The known mistakes that keep a signature from matching, and how to fix each."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from flask_whop.doctor.findings import Finding


class Mistake(str, Enum):
    """Why a signature didn't match, for programs to read."""

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

    def finding(self, **words: object) -> Finding:
        """Make the finding of this mistake; ``words`` fill the gaps in its text."""
        what, why, fix = (text.format_map(words) for text in _TEXTS[self])
        return Finding(self.value, what, why, fix)


class _Texts(NamedTuple):
    what: str
    why: str
    fix: str


_KEY_RULE = "Whop's key is the text of the whole secret, ws_ included: nothing is decoded, added or cut off."
_AS_SHOWN = "Set {where} to the secret exactly as Whop shows it: ws_ and 64 hex digits."
_BODY_RULE = "Whop signs the bytes it sends, so a body that changes on the way doesn't match."
_LEAVE_BODY = (
    "Find what is between Whop and the app (a proxy, a gateway, a serverless adapter, WSGI middleware) and make it pass"
    " the bytes on unchanged."
)
_NOT_WHOP = "Whop itself doesn't sign that way: this comes from a test sender, or another library."

_TEXTS = {
    Mistake.SECRET_BASE64: _Texts(
        "{where} is base64 of the secret, or has whsec_ in front of it; the secret itself matches.",
        _KEY_RULE,
        _AS_SHOWN + " Older guides say to encode it; don't.",
    ),
    Mistake.SECRET_PREFIX: _Texts(
        "{where} has lost its ws_ at the start; with it, the signature matches.",
        _KEY_RULE,
        _AS_SHOWN,
    ),
    Mistake.SECRET_BLANKS: _Texts(
        "{where} has a newline, white space or another stray character around it; without, the signature matches.",
        _KEY_RULE,
        _AS_SHOWN + " Check where it comes from: a file with a newline at its end, or a copy from a web page.",
    ),
    Mistake.SECRET_QUOTED: _Texts(
        "{where} has quotes around it; without them, the signature matches.",
        _KEY_RULE,
        "Remove the quotes: Docker and systemd read an .env file's quotes as part of the value.",
    ),
    Mistake.SECRET_WITH_NAME: _Texts(
        "{where} holds a whole line NAME=secret; the secret alone matches.",
        _KEY_RULE,
        _AS_SHOWN,
    ),
    Mistake.SECRET_ELSEWHERE: _Texts(
        "The request is signed with the secret of {elsewhere}, not with this app's.",
        "Each webhook at Whop has its own secret, sandbox webhooks too, and this is another webhook's.",
        "If the webhook should deliver here, add its secret: WHOP_WEBHOOK_SECRET can be a list of several."
        " Otherwise correct the webhook's address at Whop.",
    ),
    Mistake.SECRET_NOT_WHOPS: _Texts(
        "No configured secret has the form of Whop's: ws_ and 64 hex digits.",
        "Nothing that Whop signs can match. Usually it's an API key, the id of the webhook, or a default in the code"
        " for a variable that isn't set.",
        "Whop shows the secret once, when a webhook is created. If it's lost, create a new webhook and set {where} to"
        " its secret.",
    ),
    Mistake.SENDER_DECODES: _Texts(
        "The request is signed with {where} decoded, as if it were base64.",
        _KEY_RULE + " " + _NOT_WHOP,
        "With standardwebhooks, let the sender write Webhook(secret.encode()): it decodes text, but not bytes."
        " flask_whop.testing.signed() signs as Whop does.",
    ),
    Mistake.SENDER_ALTERS: _Texts(
        "The request is signed with {where} in another form: encoded, without its ws_, or with something around it.",
        _KEY_RULE + " " + _NOT_WHOP,
        "Let the sender use the secret as it is; flask_whop.testing.signed() signs as Whop does.",
    ),
    Mistake.BODY_LINE_ENDINGS: _Texts(
        "The body's line endings were changed; with the other kind, the signature matches.",
        _BODY_RULE,
        _LEAVE_BODY,
    ),
    Mistake.BODY_ENDS: _Texts(
        "White space, a newline or a byte order mark was added to or removed from an end of the body.",
        _BODY_RULE,
        _LEAVE_BODY + " If you captured the request by hand, the editor may have added the newline.",
    ),
    Mistake.BODY_RESERIALISED: _Texts(
        "The body was parsed as JSON and written again, with other spaces, escapes or order; in its original form, the"
        " signature matches.",
        _BODY_RULE,
        _LEAVE_BODY + " Forward the raw bytes of a delivery, not json.dumps() of them.",
    ),
    Mistake.BODY_EATEN: _Texts(
        "The request announces a body of {length} bytes, and none of it is left.",
        "Something reads the stream before the webhook's route does: WSGI middleware that logs or inspects requests,"
        " a url_value_preprocessor of the app, or a receiver of Flask's request_started.",
        "Let it leave the webhook's route alone, or put the bytes back: environ['wsgi.input'] = io.BytesIO(body)."
        " flask whop doctor says which one it is.",
    ),
    Mistake.BODY_EMPTY: _Texts(
        "The request has no body at all.",
        "Whop always sends one. A proxy drops it if it turns a redirect into a second request, or doesn't know chunked"
        " bodies.",
        "If Whop sent this, give Whop the final https address of the route, and check what is in front of the app.",
    ),
    Mistake.OLD_FORMAT: _Texts(
        "This comes from a legacy webhook (v2 or v5), signed in x-whop-signature with the secret of {elsewhere}.",
        "It has no event id, and other payloads; this library takes v1 webhooks.",
        "Create a v1 webhook at Whop, set WHOP_WEBHOOK_SECRET to its secret, and remove the old one once the new one"
        " delivers.",
    ),
    Mistake.CLOCK_FAST: _Texts(
        "The signature is good, but {age} seconds old; the tolerance is {tolerance}.",
        "Whop signs each try afresh, so this machine's clock is fast by about that much, or the request was held up, or"
        " someone who saw it sent it again.",
        "Compare the clock with a time server (timedatectl, chronyc tracking). If it's right, look for a queue between"
        " Whop and the app. Leave WHOP_WEBHOOK_TOLERANCE as it is.",
    ),
    Mistake.CLOCK_SLOW: _Texts(
        "The signature is good, but {age} seconds ahead of this machine's clock; the tolerance is {tolerance}.",
        "This machine's clock is slow by about that much.",
        "Set the clock from a time server (timedatectl, chronyc tracking). Leave WHOP_WEBHOOK_TOLERANCE as it is.",
    ),
}
