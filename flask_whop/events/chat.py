"""Chat: messages and the reactions to them."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Payload

__all__ = [
    "ChatMessage",
    "ChatMessageCreated",
    "ChatReaction",
    "ChatReactionCreated",
]


class ChatMessage(Payload):
    """A posted message together with its channel and audience."""


class ChatReaction(Payload):
    """A reaction together with its message, channel and audience."""


class ChatMessageCreated(Event[Literal["chat.message.created"], ChatMessage]):
    """Somebody posted a message."""


class ChatReactionCreated(Event[Literal["chat.reaction.created"], ChatReaction]):
    """Somebody reacted to a message."""
