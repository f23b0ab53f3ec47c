"""What the shop knows: courses, people, who has access to what, and the books."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import ClassVar

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, ForeignKey, TypeDecorator, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from flask_whop.events import Money

# The statuses of a membership with access to its course. Whop may add others, which give none.
WITH_ACCESS = frozenset({"trialing", "active", "past_due", "canceling", "completed"})

INSERT: dict[str, Callable[..., postgresql.Insert | sqlite.Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


class Exact(TypeDecorator[Decimal]):
    """An amount to its last digit, in ten-thousandths: SQLite would make a binary fraction of a decimal."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        """Write a whole number, or raise if that would round."""
        scaled = None if value is None else value.scaleb(4)
        if scaled is not None and scaled != int(scaled):
            raise ValueError(f"{value} has more than four decimals.")
        return None if scaled is None else int(scaled)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        """Read it back."""
        return None if value is None else Decimal(value).scaleb(-4)


class Base(DeclarativeBase):
    """What the tables have in common."""

    type_annotation_map: ClassVar = {Decimal: Exact, datetime: DateTime(timezone=True)}


db = SQLAlchemy(metadata=Base.metadata)  # models derive from Base, which type checkers know, unlike db.Model


class Course(Base):
    """A product at Whop."""

    __tablename__ = "courses"

    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str | None]


class Person(Base):
    """A buyer."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    email: Mapped[str | None]


class Membership(Base):
    """A person's access to a course."""

    __tablename__ = "memberships"

    id: Mapped[str] = mapped_column(primary_key=True)
    course_id: Mapped[str] = mapped_column(ForeignKey(Course.id), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey(Person.id), index=True)
    status: Mapped[str] = mapped_column(index=True)
    ends_at: Mapped[datetime | None]
    renews: Mapped[bool]
    license_key: Mapped[str | None] = mapped_column(index=True)
    course: Mapped[Course] = relationship(lazy="joined")
    person: Mapped[Person] = relationship(lazy="joined")


class Entry(Base):
    """A line in the books: what a payment, refund or dispute adds to the shop's money, or takes from it."""

    __tablename__ = "entries"

    document_id: Mapped[str] = mapped_column(primary_key=True)  # of the payment, refund or dispute
    kind: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str | None] = mapped_column(index=True)  # no foreign key: refunds may come first
    course_id: Mapped[str | None] = mapped_column(index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    booked_at: Mapped[datetime] = mapped_column(index=True)

    @property
    def money(self) -> Money:
        """The amount in its currency."""
        return Money(self.amount, self.currency)


def save(
    model: type[Base], values: Mapping[str, object], at_first: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Insert a row, or update these columns of it: one statement, since two workers may do so at once.

    The columns ``at_first`` are left as they are in a row that's there already.
    """
    insert = INSERT[db.session.get_bind().dialect.name](model).values({**values, **at_first})
    db.session.execute(insert.on_conflict_do_update(index_elements=inspect(model).primary_key, set_=values))


def known(**values: object) -> dict[str, object]:
    """Leave out what Whop didn't send, so what is known already is kept."""
    return {name: value for name, value in values.items() if value is not None}
