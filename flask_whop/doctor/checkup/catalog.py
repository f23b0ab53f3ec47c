"""Every finding about an app, by its id, which is the same in each release.

The hundreds are the checks: secret, route, store, dispatch, receivers, clock, online. A missing
number was given up, and isn't given again.
"""

from __future__ import annotations

from typing import Final

from flask_whop.doctor.finding import Finding, Level

_WARNING, _NOTE = Level.WARNING, Level.NOTE
_UNVERIFIED = "Deliveries never reach their receivers; after 72 hours of failures Whop disables the webhook."

W001: Final = Finding(
    "W001",
    "{name} {form}",
    "Whop's key is the text of the whole secret, so no delivery would be verified.",
    "Set {name} to the secret exactly as Whop shows it when the webhook is created.",
)
W002: Final = Finding(
    "W002",
    "WHOP_WEBHOOK_SECRET holds the same secret twice.",
    "One of them should be another: a second webhook's, or the new one in a rotation.",
    "Set the missing one, or remove the duplicate.",
    _WARNING,
)
W003: Final = Finding(
    "W003",
    "The environment variable WHOP_WEBHOOK_SECRET and app.config have different secrets.",
    "app.config comes first, so the variable is ignored.",
    "Set the secret in one place only.",
    _WARNING,
)
W004: Final = Finding(
    "W004",
    "app.config has {key}, which is no setting of flask_whop; {nearest} is.",
    "Nothing reads it, so the default applies.",
    "Spell the setting as the reference does (docs/reference, Settings).",
    _WARNING,
)

W101: Final = Finding("W101", "{what}", _UNVERIFIED, "{fix}")
W102: Final = Finding(
    "W102",
    "A delivery over https is redirected ({status}) to {location}.",
    "Whop doesn't follow redirects, and counts them as failures. " + _UNVERIFIED,
    "Give Whop the final address, or remove the redirect for this path.",
)
W103: Final = Finding(
    "W103",
    "A hook of the app answers before the webhook's route does: {actions}; Whop sees {status}.{target}",
    _UNVERIFIED,
    'Make the hook skip the route: if request.blueprint == "whop": return None. Nobody logs in there, and the signature'
    " protects it.",
)
W104: Final = Finding(
    "W104",
    "The body is read before the webhook's route gets it, by {reader}.",
    "Nothing is left to verify. " + _UNVERIFIED,
    "Let it skip the webhook's path; WSGI middleware can also put the bytes back: environ['wsgi.input'] ="
    " io.BytesIO(body).",
)
W105: Final = Finding(
    "W105",
    "A request signed with the configured secret is rejected ({reason}): {what}",
    _UNVERIFIED,
    "{suspect} must pass the webhook's requests on unchanged.",
)
W106: Final = Finding(
    "W106",
    "{what}",
    "Whop sees {status} instead of 200, and sends the delivery again and again.",
    "{fix}",
)
W107: Final = Finding(
    "W107",
    "The app turns failures into successes: {changes}.",
    "Whop considers a failed delivery done, and it's lost.",
    "Let hooks and middleware leave the status of the webhook's answers alone.",
)
W108: Final = Finding(
    "W108",
    "The app {action} before the webhook's route is reached.",
    _UNVERIFIED,
    "Look at the app's log: a url_value_preprocessor, a receiver of request_started, or the session fails.",
)
W110: Final = Finding(
    "W110",
    "Over plain http the app redirects ({status}) to {location}.",
    "Whop doesn't follow redirects. This also happens behind a proxy that terminates https without saying so.",
    "Give Whop the https address; behind a proxy, use werkzeug's ProxyFix with x_proto=1.",
    _WARNING,
)
W111: Final = Finding(
    "W111",
    "A request takes {seconds:.1f} seconds, without any receiver.",
    "Whop waits 5 seconds for an answer.",
    "Check the app's before_request functions, and what it does at its first request.",
    _WARNING,
)
W112: Final = Finding(
    "W112",
    "CSRF protection refuses deliveries: {actions}.",
    "Whop can't send a token; the signature protects this route. " + _UNVERIFIED,
    "Exempt the blueprint called whop. Flask-WTF does so automatically, others don't.",
)
W113: Final = Finding(
    "W113",
    "WSGI middleware ({middleware}) {action} before the request reaches the app.",
    _UNVERIFIED,
    "Let it pass the webhook's path.",
)
W114: Final = Finding(
    "W114",
    "TRUSTED_HOSTS lists only this machine: {hosts}.",
    "Whop delivers to a public host, and requests for that are answered 400 unless a proxy changes the host.",
    "Add the host of the address that Whop has.",
    _WARNING,
)

W201: Final = Finding(
    "W201",
    "The store can't be used: {error}",
    "Each delivery is answered 503 until it can; after 72 hours Whop disables the webhook.",
    "Check that the database runs, that WHOP_STORE names it, and that this process may write to it.",
)
W202: Final = Finding(
    "W202",
    "Deliveries are kept in memory{because}.",
    "Each process has its own, and loses them when it ends: a retry that reaches another worker, or comes after a"
    " restart, runs receivers a second time.",
    "{fix}",
    _WARNING,
)
W203: Final = Finding(
    "W203",
    "Dead-lettered deliveries, for which a receiver ran out of retries: {count}.",
    "Nobody retries them, and Whop considers them delivered.",
    "Fix the receiver, then replay them with flask whop deliveries replay --failed.",
    _WARNING,
)
W204: Final = Finding(
    "W204",
    "Another app, with its own secrets, takes deliveries as WHOP_ENDPOINT={endpoint!r} in the same store.",
    "Each may take the other's work: what it has no receiver for counts as done, and is lost.",
    "Give each app its own WHOP_ENDPOINT; the default is the last part of the app's name.",
)

W301: Final = Finding(
    "W301",
    "A delivery has been due for {minutes} minutes, and nobody has run it.",
    "Whop considers it delivered; its receivers run when a worker does.",
    "Start flask whop work, or the Celery worker with its sweep, and let a supervisor keep it running.",
)
W302: Final = Finding(
    "W302",
    'app.extensions["celery"] is empty.',
    "Deliveries are stored, but no task is sent for them.",
    "Set Celery up as Flask's documentation shows it, under Background Tasks with Celery.",
)
W303: Final = Finding(
    "W303",
    "Celery's broker can't be reached ({error}).",
    "Deliveries are stored, and wait until a sweep finds them.",
    "Check that the broker runs, and that broker_url names it.",
)
W304: Final = Finding(
    "W304",
    "The Celery app's beat_schedule has no task {task}.",
    "If a delivery's task is lost because the broker was down or a worker died, it waits for a sweep or for flask whop"
    " work.",
    'Add {{"task": "{task}", "schedule": 60.0}} to it and run celery beat, unless a scheduler with its own database'
    " sends it, or flask whop work runs beside the app.",
    _WARNING,
)

W305: Final = Finding(
    "W305",
    "No worker has shown a sign of life for a minute.",
    "Deliveries are stored, and wait until one runs.",
    "Start flask whop work beside the app, and let a supervisor keep it running.",
    _NOTE,
)

W401: Final = Finding(
    "W401",
    "No receiver is connected.",
    "Deliveries are answered 200, and nothing happens.",
    "Import the modules that connect receivers where the app is made.",
    _WARNING,
)
W403: Final = Finding(
    "W403",
    "A receiver is a lambda: {names}.",
    "Receipts are kept by name, and all lambdas in a function have the same one.",
    'Give it a name: whop.on(PaymentSucceeded, name="fulfil"), or write a function.',
    _WARNING,
)
W404: Final = Finding(
    "W404",
    "A receiver's name includes the function that defines it: {names}.",
    "Receipts are kept by name: if that function is renamed, a retry or a replay runs the receiver again.",
    "Give it its own name= if its effects must not happen twice.",
    _NOTE,
)
W405: Final = Finding(
    "W405",
    "Unfinished deliveries have receipts of receivers that don't exist: {names}.",
    "A receiver that was renamed or moved counts as another one, and runs again for those deliveries.",
    'Give it its former name: @whop.on(…, was="shop:fulfil"). If it was removed, there is nothing to do.',
    _WARNING,
)
W406: Final = Finding(
    "W406",
    "A receiver of shipping_address.changed is connected, and WHOP_DISPATCH is {mode}: {names}.",
    "Whop waits for the price that it returns, and only an inline app answers after its receivers have run.",
    'Set WHOP_DISPATCH = "inline", or give the checkout an app of its own.',
    _WARNING,
)

W501: Final = Finding(
    "W501",
    "{what}",
    "A signature is valid for a few minutes, so deliveries are refused when the clock is off.",
    "Set the clock from a time server (timedatectl, chronyc tracking).",
)
W502: Final = Finding(
    "W502",
    "WHOP_WEBHOOK_TOLERANCE is {seconds:.0f} seconds.",
    "If it's long, someone who saw a request can send it again that long; if it's short, slow requests are refused.",
    "Leave it at 300: Whop signs each retry afresh.",
    _WARNING,
)

W600: Final = Finding(
    "W600",
    "Whop's side couldn't be checked: {error}",
    "Whether the webhook is enabled, and what it delivers, is known to Whop alone.",
    "Set what is missing, and run this again.",
)
W601: Final = Finding(
    "W601",
    "No webhook at Whop delivers to {address}.",
    "Nothing arrives.",
    "Create one with flask whop sync, or correct WHOP_PUBLIC_URL.",
)
W602: Final = Finding(
    "W602",
    "{webhook} is disabled{reason}.",
    "Nothing arrives, and what happens meanwhile is in no log.",
    "Fix what failed, enable it with flask whop sync --enable, and rebuild what was missed from the lists that flask"
    " whop pull names.",
)
W603: Final = Finding(
    "W603",
    "Every delivery of {webhook} has failed since {since}, {count} in a row.",
    "After 72 hours of failures Whop disables the webhook.",
    "See the app's log for the reason; then flask whop pull brings in what was missed.",
)
W604: Final = Finding(
    "W604",
    "{webhook} delivers to {url}, and the app is at {address}.",
    "Its deliveries go elsewhere.",
    "Correct its address in Whop's dashboard, or WHOP_PUBLIC_URL.",
)
W605: Final = Finding(
    "W605",
    "{webhook} is subscribed to events without a receiver here: {events}.",
    "They are answered 200, and nothing happens.",
    "Connect receivers, or unsubscribe with flask whop sync --remove.",
    _NOTE,
)
W606: Final = Finding(
    "W606",
    "Events that no webhook delivers have receivers here: {events}.",
    "These receivers are never called.",
    "Subscribe with flask whop sync.",
    _WARNING,
)
W607: Final = Finding(
    "W607",
    "{webhook} is of the legacy format {version}.",
    "Its deliveries have no id and another signature, so they are refused unless WHOP_LEGACY_WEBHOOKS is on.",
    "Create a v1 webhook with flask whop sync, and delete this one when the new one works.",
    _WARNING,
)
W608: Final = Finding(
    "W608",
    "{webhook} is pinned to {pin}, and {events} have receivers here.",
    "With a pin from 2026-08-14 on, the payload of an identity profile is its id alone: all other fields are None.",
    "Remove the pin with flask whop sync --no-pin, or fetch the profile by its id from Whop's API.",
    _WARNING,
)
W609: Final = Finding(
    "W609",
    "{app} lacks permissions to receive what its webhook delivers: {permissions}.",
    "Without them, fields of the payloads are null.",
    "Add them to the app in Whop's dashboard; accounts that installed it have to approve them.",
    _WARNING,
)
W610: Final = Finding(
    "W610",
    "A test delivery of {event} by {webhook} {answer}.",
    "Real ones are answered the same.",
    "See the app's log, and check the address, the secret and whatever is between Whop and the app.",
)
