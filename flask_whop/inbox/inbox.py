"""``WhopInbox``: the blueprint of the page, and what serves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from flask import Blueprint, Flask, Response, request, send_from_directory
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import Forbidden, NotFound
from werkzeug.wrappers import Response as BaseResponse

from flask_whop.csrf import exempt_from_csrf
from flask_whop.engine.activity import Recorder
from flask_whop.engine.installation import Installation
from flask_whop.errors import SetupError, StoreUnavailable
from flask_whop.grammar import counted
from flask_whop.inbox import words
from flask_whop.inbox.access import Access, Authorize, protect
from flask_whop.inbox.views import Pages

NAME: Final = "whop_inbox"

_HERE: Final = Path(__file__).parent
_YEAR: Final = 31_536_000


class WhopInbox:
    """A page on which people see what came, what became of it, and run it again: at ``/whop`` of ``app``.

    ``authorize`` says who may look: it's called for each request, and returns True or False,
    or a response such as a redirect to a login. ``authorize_replay`` says who of them may also
    run deliveries again; by default all of them. Without ``authorize`` it works in debug mode
    alone, for requests from this machine. ``url_prefix`` is its path, ``host`` its host, for an
    app made with ``host_matching=True``.

    In debug mode it can also send events to the app. Set :class:`~flask_whop.WhopWebhooks`
    up before it.

    Raises :class:`~flask_whop.errors.SetupError` if it would be open to everybody, if
    flask_whop isn't set up for the app, or if the app has an inbox already.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        authorize: Authorize | None = None,
        authorize_replay: Authorize | None = None,
        url_prefix: str = "/whop",
        host: str | None = None,
    ) -> None:
        self._authorize = authorize
        self._authorize_replay = authorize_replay
        self._url_prefix = url_prefix
        self._host = host
        self._recorders: WeakKeyDictionary[Flask, Recorder] = WeakKeyDictionary()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Add the inbox to ``app``; raises what the class says."""
        installation = Installation.of(app)
        if NAME in app.blueprints:
            raise SetupError("The app has an inbox already.")
        access = Access(app, self._authorize, self._authorize_replay)
        self._recorders[app] = Recorder(installation)
        pages = Pages(installation, access, self._recorders[app], _environment())
        blueprint = Blueprint(NAME, __name__)
        # The only hook that runs before the app's own, Flask-WTF's among them; Access refuses forged forms.
        blueprint.url_value_preprocessor(lambda _endpoint, _values: exempt_from_csrf(app, NAME))
        blueprint.before_request(_guard(access))
        blueprint.after_request(protect)
        for rule, view in (
            ("/", pages.deliveries),
            ("/live", pages.live),
            ("/deliveries/<path:delivery_id>", pages.delivery),
            ("/health", pages.health),
            ("/send", pages.form),
            ("/static/<path:filename>", _static),
        ):
            blueprint.add_url_rule(rule, view.__name__.strip("_"), view, host=self._host)
        blueprint.add_url_rule("/replay/<path:delivery_id>", "replay", pages.replay, methods=["POST"], host=self._host)
        blueprint.add_url_rule("/send", "send", pages.send, methods=["POST"], host=self._host)
        for error in (Forbidden, NotFound, StoreUnavailable):
            blueprint.register_error_handler(error, pages.refused)
        app.register_blueprint(blueprint, url_prefix=self._url_prefix)


def _guard(access: Access) -> Callable[[], BaseResponse | None]:
    def guard() -> BaseResponse | None:
        # The style and the script tell nobody anything, and a page that refuses somebody needs them.
        return None if request.endpoint == f"{NAME}.static" else access.check()

    return guard


def _environment() -> Environment:
    """Our own: the app's may escape nothing, and its context processors are none of our business."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (words.moment, words.iso, words.duration, words.plain, words.last_line, counted):
        environment.filters[filter_.__name__] = filter_
    return environment


def _static(filename: str) -> Response:
    return send_from_directory(_HERE / "static", filename, max_age=_YEAR)
