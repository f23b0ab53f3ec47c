"""For the tests of apps: realistic payloads, and deliveries that are signed as Whop signs them."""

from flask_whop.testing.requests import SignedRequest as SignedRequest
from flask_whop.testing.requests import signed as signed
from flask_whop.testing.samples import sample as sample
