"""The filters of the list: read from its address, and written back into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from flask_whop.stores import ReceiptState, State

if TYPE_CHECKING:
    from flask_whop.engine.deliveries import Deliveries, Page

PER_PAGE: Final = 50
WITHIN: Final = 2000
"""How many deliveries a page looks at for a mix of filters."""

GROUPS: Final[Mapping[str, tuple[str, Sequence[State]]]] = {
    "": ("All", ()),
    "attention": ("Needs attention", (State.FAILED, State.DEAD)),
    "waiting": ("In progress", (State.DUE, State.RUNNING)),
    "done": ("Done", (State.DONE,)),
}
"""What the tabs above the list show, by the name in the address."""

_LONGEST = 512  # a cursor holds an id of up to 255 letters, in base64


@dataclass(frozen=True)
class Filters:
    """What the list shows; each field is one of its address, as it was typed."""

    q: str = ""
    state: str = ""
    type: str = ""
    account: str = ""
    resource: str = ""
    receiver: str = ""
    receipt: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""

    @classmethod
    def read(cls, address: Mapping[str, str]) -> Filters:
        """Read them from the query of the page's address."""
        return cls(**{name: _typed(address.get(name, "")) for name in cls.__dataclass_fields__})

    def query(self, **changes: str) -> str:
        """Write them into an address, with ``changes``; any change leads back to the first page."""
        changed = replace(self, **{"cursor": "", **changes})
        return urlencode({name: value for name, value in asdict(changed).items() if value})

    @property
    def narrowed(self) -> Sequence[str]:
        """The names of the filters behind the tabs and the search that are set."""
        return [
            name
            for name in ("type", "account", "resource", "receiver", "receipt", "since", "until")
            if getattr(self, name)
        ]

    @property
    def states(self) -> Sequence[State]:
        """The states that are wanted; raises ``ValueError`` for one that there isn't."""
        return GROUPS[self.state][1] if self.state in GROUPS else [State(self.state)]

    def find(self, deliveries: Deliveries) -> Page:
        """Find what they leave; raises ``ValueError`` for a value that can't be read."""
        return deliveries.find(
            states=self.states,
            event_type=self.type or None,
            account_id=self.account or None,
            resource=self.resource or None,
            text=self.q or None,
            receiver=self.receiver or None,
            receipt_state=ReceiptState(self.receipt) if self.receipt else None,
            since=_time(self.since),
            until=_time(self.until),
            limit=PER_PAGE,
            cursor=self.cursor or None,
            within=WITHIN,
        )


def _typed(text: str) -> str:
    """What somebody typed, without what can't be seen and might turn the rest around."""
    return "".join(filter(str.isprintable, text[:_LONGEST])).strip()


def _time(text: str) -> datetime | None:
    """Read what a field for a date and a time holds, in UTC."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
