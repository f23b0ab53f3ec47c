"""What type checkers must refuse: names that no package has. An unused ignore is an error."""

from __future__ import annotations

from flask_whop import WhopWebhok as WhopWebhok  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.events import PaymentSuceeded as PaymentSuceeded  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.signals import payment_suceeded as payment_suceeded  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from flask_whop.testing import WhopTestCliente as WhopTestCliente  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
