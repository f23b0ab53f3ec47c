"""The known mistakes that keep a signature from matching, and how to fix each."""

from __future__ import annotations

from enum import Enum

from flask_whop.doctor.finding import Finding


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
        return _FINDINGS[self.value].of(**words)

    def in_general(self) -> Finding:
        """Make the finding about several requests, without what differs between them."""
        return self.finding(
            where="WHOP_WEBHOOK_SECRET",
            elsewhere="another app or variable",
            length="several",
            age="too many",
            tolerance="WHOP_WEBHOOK_TOLERANCE",
        )


_KEY_RULE = "Whop's key is the text of the whole secret, ws_ included: nothing is decoded, added or cut off."
_AS_SHOWN = "Set {where} to the secret exactly as Whop shows it: ws_ and 64 hex digits."
_BODY_RULE = "Whop signs the bytes it sends, so a body that changes on the way doesn't match."
_LEAVE_BODY = (
    "Find what is between Whop and the app (a proxy, a gateway, a serverless adapter, WSGI middleware) and make it pass"
    " the bytes on unchanged."
)
_NOT_WHOP = "Whop itself doesn't sign that way: this comes from a test sender, or another library."

_TEXTS = (
    Finding(
        Mistake.SECRET_BASE64.value,
        "{where} is base64 of the secret, or has whsec_ in front of it; the secret itself matches.",
        _KEY_RULE,
        _AS_SHOWN + " Older guides say to encode it; don't.",
    ),
    Finding(
        Mistake.SECRET_PREFIX.value,
        "{where} has lost its ws_ at the start; with it, the signature matches.",
        _KEY_RULE,
        _AS_SHOWN,
    ),
    Finding(
        Mistake.SECRET_BLANKS.value,
        "{where} has a newline, white space or another stray character around it; without, the signature matches.",
        _KEY_RULE,
        _AS_SHOWN + " Check where it comes from: a file with a newline at its end, or a copy from a web page.",
    ),
    Finding(
        Mistake.SECRET_QUOTED.value,
        "{where} has quotes around it; without them, the signature matches.",
        _KEY_RULE,
        "Remove the quotes: Docker and systemd read an .env file's quotes as part of the value.",
    ),
    Finding(
        Mistake.SECRET_WITH_NAME.value,
        "{where} holds a whole line NAME=secret; the secret alone matches.",
        _KEY_RULE,
        _AS_SHOWN,
    ),
    Finding(
        Mistake.SECRET_ELSEWHERE.value,
        "The request is signed with the secret of {elsewhere}, not with this app's.",
        "Each webhook at Whop has its own secret, sandbox webhooks too, and this is another webhook's.",
        "If the webhook should deliver here, add its secret: WHOP_WEBHOOK_SECRET can be a list of several."
        " Otherwise correct the webhook's address at Whop.",
    ),
    Finding(
        Mistake.SECRET_NOT_WHOPS.value,
        "No configured secret has the form of Whop's: ws_ and 64 hex digits.",
        "Nothing that Whop signs can match. Usually it's an API key, the id of the webhook, or a default in the code"
        " for a variable that isn't set.",
        "Whop shows the secret once, when a webhook is created. If it's lost, create a new webhook and set {where} to"
        " its secret.",
    ),
    Finding(
        Mistake.SENDER_DECODES.value,
        "The request is signed with {where} decoded, as if it were base64.",
        _KEY_RULE + " " + _NOT_WHOP,
        "With standardwebhooks, let the sender write Webhook(secret.encode()): it decodes text, but not bytes."
        " flask_whop.testing.signed() signs as Whop does.",
    ),
    Finding(
        Mistake.SENDER_ALTERS.value,
        "The request is signed with {where} in another form: encoded, without its ws_, or with something around it.",
        _KEY_RULE + " " + _NOT_WHOP,
        "Let the sender use the secret as it is; flask_whop.testing.signed() signs as Whop does.",
    ),
    Finding(
        Mistake.BODY_LINE_ENDINGS.value,
        "The body's line endings were changed; with the other kind, the signature matches.",
        _BODY_RULE,
        _LEAVE_BODY,
    ),
    Finding(
        Mistake.BODY_ENDS.value,
        "White space, a newline or a byte order mark was added to or removed from an end of the body.",
        _BODY_RULE,
        _LEAVE_BODY + " If you captured the request by hand, the editor may have added the newline.",
    ),
    Finding(
        Mistake.BODY_RESERIALISED.value,
        "The body was parsed as JSON and written again, with other spaces, escapes or order; in its original form, the"
        " signature matches.",
        _BODY_RULE,
        _LEAVE_BODY + " Forward the raw bytes of a delivery, not json.dumps() of them.",
    ),
    Finding(
        Mistake.BODY_EATEN.value,
        "The request announces a body of {length}, and none of it is left.",
        "Something reads the stream before the webhook's route does: WSGI middleware that logs or inspects requests,"
        " a url_value_preprocessor of the app, or a receiver of Flask's request_started.",
        "Let it leave the webhook's route alone, or put the bytes back: environ['wsgi.input'] = io.BytesIO(body)."
        " flask whop doctor says which one it is.",
    ),
    Finding(
        Mistake.BODY_EMPTY.value,
        "The request has no body at all.",
        "Whop always sends one. A proxy drops it if it turns a redirect into a second request, or doesn't know chunked"
        " bodies.",
        "If Whop sent this, give Whop the final https address of the route, and check what is in front of the app.",
    ),
    Finding(
        Mistake.OLD_FORMAT.value,
        "This comes from a legacy webhook (v2 or v5), signed in x-whop-signature with the secret of {elsewhere}.",
        "It has no event id, and other payloads; by default only v1 webhooks are taken.",
        "Create a v1 webhook at Whop, set WHOP_WEBHOOK_SECRET to its secret, and remove the old one once the new one"
        " delivers. Until then, WHOP_LEGACY_WEBHOOKS = True takes the old one's deliveries.",
    ),
    Finding(
        Mistake.CLOCK_FAST.value,
        "The signature is good, but {age} old; the tolerance is {tolerance}.",
        "Whop signs each try afresh, so this machine's clock is fast by about that much, or the request was held up, or"
        " someone who saw it sent it again.",
        "Compare the clock with a time server (timedatectl, chronyc tracking). If it's right, look for a queue between"
        " Whop and the app. Leave WHOP_WEBHOOK_TOLERANCE as it is.",
    ),
    Finding(
        Mistake.CLOCK_SLOW.value,
        "The signature is good, but {age} ahead of this machine's clock; the tolerance is {tolerance}.",
        "This machine's clock is slow by about that much.",
        "Set the clock from a time server (timedatectl, chronyc tracking). Leave WHOP_WEBHOOK_TOLERANCE as it is.",
    ),
)
_FINDINGS = {finding.id: finding for finding in _TEXTS}
