"""Chat: messages and reactions to them."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.references import User
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class Audience(Payload):
    """Who can see a message."""

    type: str | None = None
    """``channel``, ``users``."""
    user_ids: Items[str] = ()


class Channel(Reference):
    """Where a message was posted."""

    type: str | None = None
    """``chat``, ``direct_message``, ``support``."""
    experience_id: str | None = None


class PollOption(Reference):
    """An option in a poll."""

    text: str | None = None


class Poll(Payload):
    """A poll in a message."""

    options: Items[PollOption] = ()


class PollVotes(Payload):
    """The votes for one option of a poll."""

    option_id: str | None = None
    count: int | None = None


class ReactionCount(Payload):
    """The number of reactions with one emoji."""

    count: int | None = None
    emoji: str | None = None
    """Such as ``:fire:``."""


class Message(Resource):
    """A chat message."""

    poll: Poll | None = None
    replying_to_message_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    content: str | None = None
    """The text, in Markdown."""
    mentions: Items[str] = ()
    """The people mentioned (``user_…``)."""
    message_type: str | None = None
    """``regular``, ``system``, ``automated``."""
    poll_votes: Items[PollVotes] = ()
    reaction_counts: Items[ReactionCount] = ()
    view_count: int | None = None
    is_edited: bool | None = None
    is_pinned: bool | None = None
    mentions_everyone: bool | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class Reaction(Resource):
    """A reaction to a message."""

    resource_id: str | None = None
    """What was reacted to."""
    user: User | None = None
    user_id: str | None = None
    emoji: str | None = None
    """Such as ``:fire:``."""


class ChatMessage(Linked):
    """A message with its channel and audience."""

    reason: str | None = None
    audience: Audience | None = None
    channel: Channel | None = None
    channel_id: str | None = None
    message: Message | None = None
    message_id: str | None = None


class ChatReaction(Linked):
    """A reaction with its message, channel and audience."""

    reason: str | None = None
    audience: Audience | None = None
    channel: Channel | None = None
    channel_id: str | None = None
    message: Message | None = None
    message_id: str | None = None
    reaction: Reaction | None = None
    reaction_id: str | None = None


class ChatMessageCreated(Event[Literal["chat.message.created"], ChatMessage]):
    """Somebody posted a message."""


class ChatReactionCreated(Event[Literal["chat.reaction.created"], ChatReaction]):
    """Somebody reacted to a message."""
