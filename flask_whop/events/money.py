"""Exact amounts of money, in whatever form Whop sends them."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from functools import total_ordering
from typing import Final

from pydantic import model_validator

from flask_whop.errors import CurrencyMismatch
from flask_whop.events.payload import Payload

# ISO 4217, list one: the currencies without exactly two decimals.
_DECIMALS: Final = {
    **dict.fromkeys(["bif", "clp", "djf", "gnf", "isk", "jpy", "kmf", "krw", "pyg", "rwf", "ugx", "uyi", "vnd"], 0),
    **dict.fromkeys(["vuv", "xaf", "xof", "xpf"], 0),
    **dict.fromkeys(["bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"], 3),
    **dict.fromkeys(["clf", "uyw"], 4),
}
_LONGEST: Final = 60
# Python's default rounds to 28 digits. A result too long even for this raises decimal.Inexact.
_EXACT: Final = Context(prec=1000, traps=[Inexact, InvalidOperation, Overflow])


@total_ordering
class Money(Payload):
    """An amount of money: ``Money("12.50", "usd")``.

    Whop sends a bare number, a decimal text, or an object, depending on the resource and
    the version pin; all are read as this. Texts are exact to the last digit. A bare JSON
    number keeps at least 15 digits, enough for every amount below ten trillion.

    Two are equal if their amounts and currencies are; ``USD`` equals ``usd``. Amounts in
    the same currency can be added, subtracted, negated and ordered, also with the int or
    Decimal 0, so ``sum`` works. Different currencies raise
    :class:`~flask_whop.errors.CurrencyMismatch`, and a result of over a thousand digits
    raises :class:`decimal.Inexact`.
    """

    amount: Decimal
    """In units of the currency, such as dollars: 12.5 is twelve dollars and fifty cents."""
    currency: str | None = None
    """Lowercase ISO 4217 code (``usd``), or a token's symbol; None if Whop names none.

    For a bare number it's the currency the resource states next to it."""
    decimals: int | None = None
    """The decimals the currency is stored with; only in objects."""
    display_decimals: int | None = None
    """The decimals shown to people; only in objects."""

    def __init__(self, amount: Decimal | float | str, currency: str | None = None, **more: object) -> None:
        """Make an amount in a currency; raise pydantic's ``ValidationError`` if it's not an amount."""
        super().__init__(**{"amount": amount, "currency": currency, **more})

    # Tells pydantic that reading a payload can skip this, as it skips its own.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @model_validator(mode="before")
    @classmethod
    def _take_bare(cls, value: object) -> object:
        """Read a number or text as the amount of a money object."""
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            return {"amount": value}
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return self.amount == 0 if _is_zero(other) else NotImplemented
        return self.amount == other.amount and self._code == other._code

    def __hash__(self) -> int:
        # A zero amount of any currency equals 0, so it has 0's hash. A drifted amount may not be hashable.
        return hash(self.amount) if isinstance(self.amount, Decimal) else hash(type(self))

    @property
    def _code(self) -> str | None:
        return self.currency.lower() if isinstance(self.currency, str) else None

    def __lt__(self, other: object) -> bool:
        if _is_zero(other):
            return self.amount < 0
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount < self._same(other).amount

    def __add__(self, other: object) -> Money:
        if _is_zero(other):  # what sum() begins with
            return self
        if not isinstance(other, Money):
            return NotImplemented
        return self._with(_EXACT.add(self.amount, self._same(other).amount))

    __radd__ = __add__

    def __sub__(self, other: object) -> Money:
        if _is_zero(other):
            return self
        if not isinstance(other, Money):
            return NotImplemented
        return self._with(_EXACT.subtract(self.amount, self._same(other).amount))

    def __rsub__(self, other: object) -> Money:
        return -self if _is_zero(other) else NotImplemented

    def __neg__(self) -> Money:
        return self._with(self.amount.copy_negate())

    def __abs__(self) -> Money:
        return self._with(self.amount.copy_abs())

    def __bool__(self) -> bool:
        """Return whether the amount isn't 0."""
        return bool(self.amount)

    def _same(self, other: Money) -> Money:
        if self._code != other._code:
            advice = "convert one of them" if self._code and other._code else "Whop names none for one of them"
            raise CurrencyMismatch(f"{self} and {other} have different currencies: {advice}.")
        return other

    def _with(self, amount: Decimal) -> Money:
        return self.model_copy(update={"amount": amount})

    def __str__(self) -> str:
        """Format it for people, never rounded: ``12.50 USD``."""
        code = str(self.currency or "").upper()[:_LONGEST]
        if not isinstance(self.amount, Decimal) or not self.amount.is_finite():
            return f"{self.amount!s:.{_LONGEST}} {code}".rstrip()  # as sent
        _, digits, exponent = self.amount.normalize().as_tuple()
        if len(digits) + abs(int(exponent)) > _LONGEST:
            return f"{self.amount:.{_LONGEST}E} {code}".rstrip()
        shown: object = self.display_decimals  # of any type, if it drifted
        decimals = shown if isinstance(shown, int) and 0 <= shown <= _LONGEST else _DECIMALS.get(self._code or "", 2)
        amount = self.amount or Decimal(0)  # never a negative zero
        return f"{amount:,.{max(-int(exponent), decimals)}f} {code}".rstrip()


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool) and value == 0
