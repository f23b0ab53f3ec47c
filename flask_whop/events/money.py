"""Amounts of money, exact, whatever form they came in."""

from __future__ import annotations

from decimal import Decimal
from functools import total_ordering
from typing import Final

from pydantic import model_validator

from flask_whop.events.payload import Payload

# ISO 4217: the currencies that have no smaller unit.
_WHOLE: Final = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)


@total_ordering
class Money(Payload):
    """An amount of money.

    Whop sends a bare number, a decimal text, or an object, by resource and version pin;
    all of them are read as this, to the last digit. Two are equal when amount and
    currency are. Only amounts of one currency can be ordered: :class:`TypeError` else.
    """

    amount: Decimal
    """In units of the currency, such as dollars: 12.5 is twelve dollars and fifty cents."""
    currency: str | None = None
    """ISO 4217 code in lower case (``usd``), or a token's symbol; None if Whop names none.

    For a bare number it is what the resource says beside it."""
    decimals: int | None = None
    """How many digits after the point the currency is kept with; only in objects."""
    display_decimals: int | None = None
    """How many digits after the point are shown to people; only in objects."""

    @model_validator(mode="before")
    @classmethod
    def _take_bare(cls, value: object) -> object:
        """Take a number or a text for the amount of a money object."""
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            return {"amount": value}
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return (self.amount, self.currency) == (other.amount, other.currency)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise TypeError(f"{self} and {other} are of different currencies, so that neither is less.")
        return self.amount < other.amount

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))

    def __str__(self) -> str:
        """Write it for people, never rounded: ``12.50 USD``."""
        exponent = self.amount.normalize().as_tuple().exponent
        own = -exponent if isinstance(exponent, int) else 0
        usual = 0 if self.currency in _WHOLE else 2
        digits = max(own, usual if self.display_decimals is None else self.display_decimals)
        return f"{self.amount:,.{digits}f} {(self.currency or '').upper()}".rstrip()
