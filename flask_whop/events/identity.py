"""Identity: profiles of people and businesses, and their verifications."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Items, Reference
from flask_whop.events.references import AccountReference, Address
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class Verification(Reference):
    """One attempt to verify a person or a business (``verf_…``)."""

    status: str | None = None
    """The state of the attempt: ``requires_input``, ``processing``, ``verified``, ``canceled``,
    ``created``, ``started``, ``submitted``, ``approved``, ``declined``,
    ``resubmission_requested``, ``expired``, ``abandoned``, ``review``, ``manual_review``,
    ``action_required``, or a word Whop adds."""
    session_url: str | None = None
    """Where the person continues the verification."""
    last_error_code: str | None = None
    """The last error, for programs: ``document_expired``, ``selfie_face_mismatch`` and others."""
    last_error_reason: str | None = None
    """The last error, for people."""
    created_at: Timestamp | None = None


class IdentityProfile(Resource):
    """A person or a business as the verification provider knows them (``idpf_…``).

    It's full of personal data, and each field needs its own permission. A webhook with a
    version pin sends only ``id``: everything else is None or empty then, and must be
    fetched from Whop.
    """

    profile_type: str | None = None
    """``individual`` or ``business``."""
    status: str | None = None
    """``not_started``, ``pending``, ``approved``, ``rejected``, or a word Whop adds."""
    first_name: str | None = None
    last_name: str | None = None
    date_of_birth: str | None = None
    """A date as text, as Whop sends it."""
    email: str | None = None
    phone: str | None = None
    personal_address: Address | None = None
    business_name: str | None = None
    business_structure: str | None = None
    """The legal form, such as ``llc``."""
    business_address: Address | None = None
    country: str | None = None
    """Two-letter ISO 3166-1 code."""
    linked_companies: Items[AccountReference] = ()
    """The companies behind the profile; empty for callers that use an API key."""
    verifications: Items[Verification] = ()
    """The attempts, newest first."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class IdentityProfileNeedsAction(Event[Literal["identity_profile.needs_action"], IdentityProfile]):
    """The person or business must supply something; also sent as ``identity_profile.updated``: handle only one."""


class IdentityProfileApproved(Event[Literal["identity_profile.approved"], IdentityProfile]):
    """The identity was confirmed. Also sent as ``identity_profile.updated``: handle only one."""


class IdentityProfileRejected(Event[Literal["identity_profile.rejected"], IdentityProfile]):
    """The identity was rejected. Also sent as ``identity_profile.updated``: handle only one."""


class IdentityProfileUpdated(Event[Literal["identity_profile.updated"], IdentityProfile]):
    """Anything about an identity profile changed.

    Approvals, rejections and needed actions come as this *and* as their own event, in two
    deliveries with two ids: handle each change in only one of the two.
    """


class VerificationSucceeded(Event[Literal["verification.succeeded"], Verification]):
    """One attempt at verification succeeded."""
