"""Who has access: kept as Whop tells it, whatever the order in which it does."""

from __future__ import annotations

from flask import Flask

from examples.course_shop.models import Course, Membership, Person, known, save
from examples.course_shop.webhooks import whop
from flask_whop import GiveUp
from flask_whop.events import (
    MembershipActivated,
    MembershipDeactivated,
    MembershipUpdated,
    ProductCreated,
    ProductUpdated,
)


# Whop tells an activation twice, as membership.updated too, which does no harm here: the row is
# written again, with the same values. With skip_stale, an activation that comes late, after the end
# of the membership, gives no access back.
@whop.on(MembershipActivated, MembershipUpdated, MembershipDeactivated, skip_stale=True)
def keep_access(app: Flask, event: MembershipActivated | MembershipUpdated | MembershipDeactivated) -> None:
    """Grant or revoke access to a course."""
    membership = event.data
    if not (membership.product_id and membership.user_id and membership.status):
        raise GiveUp(
            "Whop sent the membership without its product, person or status; the webhook's app may not read them."
        )
    user, product = membership.user, membership.product
    save(Course, {"id": membership.product_id}, at_first={"title": product and product.title})
    save(Person, {"id": membership.user_id, **known(name=user and user.name, email=user and user.email)})
    save(
        Membership,
        {
            "id": membership.id,
            "course_id": membership.product_id,
            "person_id": membership.user_id,
            "status": membership.status,
            "ends_at": membership.current_period_end,
            "renews": not membership.cancel_at_period_end,
            "license_key": membership.license_key,
        },
    )


@whop.on(ProductCreated, ProductUpdated, skip_stale=True)
def name_course(app: Flask, event: ProductCreated | ProductUpdated) -> None:
    """Call a course as its product is called now."""
    save(Course, {"id": event.data.id, **known(title=event.data.title)})
