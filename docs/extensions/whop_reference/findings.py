"""The pages of what can be wrong: the doctor's findings, and the reasons for rejections."""

from __future__ import annotations

from typing import Final

from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.diagnosis import mistakes
from flask_whop.doctor.diagnosis.mistakes import Mistake
from flask_whop.doctor.finding import Finding
from flask_whop.errors import Reason

from whop_reference.text import filled, table

_AREAS = {
    "0": "The secret and the settings",
    "1": "The route, and what is around it",
    "2": "The store",
    "3": "Dispatch",
    "4": "Receivers",
    "5": "The clock",
    "6": "Whop's side",
}

IN_WORDS: Final = {
    "W001": (
        "A secret is base64, begins with `whsec_`, has lost its `ws_`, or has something around it; it says which.",
        "",
    ),
    "W101": (
        "A request to the webhook's address doesn't reach the webhook's route; the finding says what answers instead.",
        "The finding says what to change: usually another route, a prefix or a host in front of the webhook's.",
    ),
    "W106": (
        "The answer 200 is changed on its way out, by a hook, by middleware, or by Flask's own processing.",
        "Let what the finding names leave the webhook's answers alone.",
    ),
    "W202": ("", "Set `WHOP_STORE` to `sqlite:///whop.sqlite3` or a database, or turn `TESTING` off in production."),
    "W501": ("The clock can't be right, or differs from Whop's, judging by the last deliveries.", ""),
    "W602": ("A webhook is disabled at Whop; the finding says which, and why if Whop does.", ""),
}
"""What some findings say and advise, whose texts are only known when they're found."""

_TOP = """\
# Findings of the doctor

`flask whop doctor` checks an app, and `--online` its webhook at Whop as well. Each finding has an id that stays the
same in every release, and that is never given to another finding. Words in *italics* are filled in.

An **error** means that deliveries fail or are lost, and the command exits with 1. A **warning** works today, and will
go wrong one day or isn't what it seems. A **note** is good to know.

"""

_MISTAKES = """
## Why a signature doesn't match

`flask whop doctor --request` says which of these mistakes keeps a captured request from being verified, and so does the
log after a rejection. The ids are stable as well.

"""


def findings() -> list[Finding]:
    """Return every finding about an app, in the order of their ids."""
    found = [value for value in vars(catalog).values() if isinstance(value, Finding)]
    return sorted(found, key=lambda finding: finding.id)


def mistaken() -> list[Finding]:
    """Return the finding of every mistake with a signature."""
    return [mistakes._FINDINGS[mistake.value] for mistake in Mistake]  # noqa: SLF001  # the texts with their gaps


def page() -> str:
    """Return the page of the findings."""
    parts, area = [_TOP], ""
    for finding in findings():
        if finding.id[1] != area:
            area = finding.id[1]
            parts.append(f"## {_AREAS[area]}\n\n")
        parts.append(_entry(finding, f"**{finding.level.value.capitalize()}.** "))
    return "".join([*parts, _MISTAKES, *map(_entry, mistaken())])


def _entry(finding: Finding, level: str = "") -> str:
    what, fix = IN_WORDS.get(finding.id, ("", ""))
    what, why, fix = filled(what or finding.what), filled(finding.why), filled(fix or finding.fix)
    return (
        f"({finding.id.lower()})=\n### {finding.id}\n\n{level}{what}\n\n**Why it matters.** {why}\n\n**Fix.** {fix}\n\n"
    )


def rejections() -> str:
    """Return the page of the reasons for rejections."""
    rows = ((f"`{reason.value}`", str(reason.status), reason.advice) for reason in Reason)
    return (
        "# Why requests are rejected\n\nThe sender gets one body for all reasons that have to do with the signature;"
        " the log has the reason, and `delivery_rejected` has it as `rejection.reason`, whose value is in the first"
        " column.\n\n" + table(("reason", "answer", "what the log says"), rows)
    )
