"""The test kit: signed deliveries and what became of them, and Whop's whole schedule on a fake clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_whop.lazy import lazy

if TYPE_CHECKING:
    from flask_whop.errors import CheckFailed, ScriptedFailure
    from flask_whop.events.samples import sample
    from flask_whop.signature import SignedRequest, signed
    from flask_whop.testing.answers import Answer, ReceiverFailure
    from flask_whop.testing.client import WhopTestClient
    from flask_whop.testing.clock import Duration, FakeClock
    from flask_whop.testing.fake.api import Trouble
    from flask_whop.testing.fake.server import Asked
    from flask_whop.testing.fake.webhook import FakeWebhook
    from flask_whop.testing.fake.whop import FakeWhop
    from flask_whop.testing.isolation import isolated_signals
    from flask_whop.testing.recordings import recorded
    from flask_whop.testing.report import Attempt, EventStory, Fate, Kind, SimulationReport
    from flask_whop.testing.schedule import RETRY_DELAYS
    from flask_whop.testing.scripts import Script, ScriptedReceiver
    from flask_whop.testing.simulator import WhopSimulator
else:
    # pytest imports the plugin, and with it this package, in every run, even if nobody uses it.
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "flask_whop.errors": "CheckFailed ScriptedFailure",
            "flask_whop.events.samples": "sample",
            "flask_whop.testing.answers": "Answer ReceiverFailure",
            "flask_whop.testing.client": "WhopTestClient",
            "flask_whop.testing.clock": "Duration FakeClock",
            "flask_whop.testing.fake.api": "Trouble",
            "flask_whop.testing.fake.server": "Asked",
            "flask_whop.testing.fake.webhook": "FakeWebhook",
            "flask_whop.testing.fake.whop": "FakeWhop",
            "flask_whop.testing.isolation": "isolated_signals",
            "flask_whop.testing.recordings": "recorded",
            "flask_whop.testing.report": "Attempt EventStory Fate Kind SimulationReport",
            "flask_whop.signature": "SignedRequest signed",
            "flask_whop.testing.schedule": "RETRY_DELAYS",
            "flask_whop.testing.scripts": "Script ScriptedReceiver",
            "flask_whop.testing.simulator": "WhopSimulator",
        },
    )

__all__ = [
    "RETRY_DELAYS",
    "Answer",
    "Asked",
    "Attempt",
    "CheckFailed",
    "Duration",
    "EventStory",
    "FakeClock",
    "FakeWebhook",
    "FakeWhop",
    "Fate",
    "Kind",
    "ReceiverFailure",
    "Script",
    "ScriptedFailure",
    "ScriptedReceiver",
    "SignedRequest",
    "SimulationReport",
    "Trouble",
    "WhopSimulator",
    "WhopTestClient",
    "isolated_signals",
    "recorded",
    "sample",
    "signed",
]
