"""The pages: what the staff sees behind its login, and what a course's player asks about a license key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from itertools import groupby
from typing import ParamSpec, TypeAlias

from flask import Blueprint, Response, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from werkzeug.security import check_password_hash
from werkzeug.wrappers import Response as BaseResponse

from examples.course_shop.models import WITH_ACCESS, Course, Entry, Membership, Person, db
from flask_whop.events import Money

P = ParamSpec("P")
Sums: TypeAlias = dict[str | None, dict[str, Money]]

MOST_SHOWN = 200

pages = Blueprint("staff", __name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pages.after_request
def protect(answer: Response) -> Response:
    """Let the pages load nothing but their own stylesheet, and keep them out of caches."""
    answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def is_staff() -> bool:
    """Whether the person who asks has logged in."""
    return session.get("staff") is True


def may_look() -> bool | BaseResponse:
    """Let staff look at Whop's inbox, and send everybody else to the login."""
    return is_staff() or redirect(url_for("staff.login"))


def staff_only(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Send everybody else to the login."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        return view(*args, **kwargs) if is_staff() else redirect(url_for("staff.login"))

    return guarded


@pages.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Let the staff in: ``STAFF_PASSWORD_HASH`` is what ``generate_password_hash`` makes of its password."""
    wrong = request.method == "POST" and not check_password_hash(
        current_app.config["STAFF_PASSWORD_HASH"], request.form.get("password", "")
    )
    if request.method == "POST" and not wrong:
        session.clear()
        session["staff"] = True
        return redirect(url_for("staff.overview"))
    return render_template("login.html", wrong=wrong)


@pages.post("/logout")
def logout() -> ResponseReturnValue:
    """Let the staff out."""
    session.clear()
    return redirect(url_for("staff.login"))


@pages.get("/")
@staff_only
def overview() -> ResponseReturnValue:
    """Show the courses, the people, and the books."""
    people = func.count(Membership.id).filter(Membership.status.in_(WITH_ACCESS))
    courses = select(Course, people).outerjoin(Membership, Membership.course_id == Course.id)
    by_name = func.coalesce(Person.name, Person.email, Person.id), Membership.id
    memberships = select(Membership).join(Membership.person).order_by(*by_name).limit(MOST_SHOWN)
    entries = select(Entry).order_by(Entry.booked_at.desc(), Entry.document_id, Entry.kind).limit(MOST_SHOWN)
    books, earned = sums()
    return render_template(
        "overview.html",
        courses=db.session.execute(courses.group_by(Course.id).order_by(Course.title)).all(),
        memberships=db.session.scalars(memberships).all(),
        documents=[list(lines) for _, lines in groupby(db.session.scalars(entries), lambda line: line.document_id)],
        books=books,
        earned=earned,
        with_access=WITH_ACCESS,
        most_shown=MOST_SHOWN,
    )


def sums() -> tuple[Sums, Sums]:
    """Sum the books up: by currency and kind, and by course and currency."""
    books: Sums = defaultdict(dict)
    earned: Sums = defaultdict(dict)
    by = (Entry.currency, Entry.course_id, Entry.kind)
    lines = select(*by, func.sum(Entry.amount)).group_by(*by).order_by(Entry.currency)
    for currency, course_id, kind, amount in db.session.execute(lines):
        money = Money(amount, currency)
        books[currency][kind] = money + books[currency].get(kind, 0)
        earned[course_id][currency] = money + earned[course_id].get(currency, 0)
    return books, earned


@pages.post("/license")
def check_license() -> ResponseReturnValue:
    """Tell a course's player which courses a license key opens now: that of its membership, or none."""
    key = Membership.license_key == request.form.get("key", "")
    courses = select(Membership.course_id).where(key, Membership.status.in_(WITH_ACCESS))
    return {"courses": list(db.session.scalars(courses))}
