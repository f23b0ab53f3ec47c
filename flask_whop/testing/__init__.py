"""For the tests of apps: signed deliveries, what came of them, and Whop's whole schedule on a fake clock."""

from flask_whop.errors import CheckFailed as CheckFailed
from flask_whop.testing.answers import Answer as Answer
from flask_whop.testing.answers import ReceiverFailure as ReceiverFailure
from flask_whop.testing.client import WhopTestClient as WhopTestClient
from flask_whop.testing.clock import FakeClock as FakeClock
from flask_whop.testing.isolation import isolated_signals as isolated_signals
from flask_whop.testing.requests import SignedRequest as SignedRequest
from flask_whop.testing.requests import signed as signed
from flask_whop.testing.samples import sample as sample
