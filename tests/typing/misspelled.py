"""What type checkers must refuse: names that no package has. An unused ignore is an error."""

from __future__ import annotations

from flask_whop import WhopWebhok  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.events import PaymentSuceeded  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.events import Literal  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.events import Timestamp  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.signals import payment_suceeded  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.testing import WhopTestCliente  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

print(WhopWebhok, PaymentSuceeded, Literal, Timestamp, payment_suceeded, WhopTestCliente)
