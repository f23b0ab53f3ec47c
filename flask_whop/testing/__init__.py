"""For the tests of apps: signed deliveries, what came of them, and Whop's whole schedule on a fake clock."""

from flask_whop.errors import CheckFailed as CheckFailed
from flask_whop.errors import ScriptedFailure as ScriptedFailure
from flask_whop.testing.answers import Answer as Answer
from flask_whop.testing.answers import ReceiverFailure as ReceiverFailure
from flask_whop.testing.client import WhopTestClient as WhopTestClient
from flask_whop.testing.clock import Duration as Duration
from flask_whop.testing.clock import FakeClock as FakeClock
from flask_whop.testing.isolation import isolated_signals as isolated_signals
from flask_whop.testing.report import Attempt as Attempt
from flask_whop.testing.report import EventStory as EventStory
from flask_whop.testing.report import Fate as Fate
from flask_whop.testing.report import Kind as Kind
from flask_whop.testing.report import SimulationReport as SimulationReport
from flask_whop.testing.requests import SignedRequest as SignedRequest
from flask_whop.testing.requests import signed as signed
from flask_whop.testing.samples import sample as sample
from flask_whop.testing.schedule import RETRY_DELAYS as RETRY_DELAYS
from flask_whop.testing.scripts import Script as Script
from flask_whop.testing.scripts import ScriptedReceiver as ScriptedReceiver
from flask_whop.testing.simulator import WhopSimulator as WhopSimulator
