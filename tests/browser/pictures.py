"""Makes the pictures of the inbox in the documentation: a day in the life of a shop, looked at through Chromium.

    python -m tests.browser.pictures [a folder for all sizes]

The pages show one size; all three widths, light and dark, are made in the folder that is given.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread
from typing import Final

from flask import Flask
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from flask_whop import GiveUp, WhopWebhooks
from flask_whop.testing import FakeClock, WhopTestClient
from tests import ROOT
from tests.browser.conftest import ARGUMENTS
from tests.shop import OTHER_SECRET, SECRET

KEPT: Final = ROOT / "docs/_static/inbox"
SHOWN: Final = ((1280, "light"),)
ALL: Final = tuple((width, scheme) for width in (1280, 768, 390) for scheme in ("light", "dark"))
DAY: Final = 24


def shop(folder: Path) -> Flask:
    """A shop with an inbox, whose receivers sometimes fail."""
    app = Flask("course_shop", instance_path=str(folder))
    app.config.update(
        WHOP_WEBHOOK_SECRET=SECRET,
        WHOP_STORE="sqlite:///shop.sqlite3",
    )
    whop = WhopWebhooks(app)
    whop.inbox(authorize=lambda: True)

    @whop.on("payment.*", "refund.*", name="shop:keep_books")
    def keep_books(app: Flask, event: object) -> None:
        time.sleep(random.uniform(0.001, 0.02))

    @whop.on("payment.succeeded", name="shop:fulfil")
    def fulfil(app: Flask, event: object) -> None:
        if random.random() < 0.06:
            raise LookupError("there is no course for plan_gold")

    @whop.on("membership.*", name="shop:set_access", skip_stale=True)
    def set_access(app: Flask, event: object) -> None: ...

    @whop.on("dispute.created", name="shop:answer_dispute")
    def answer_dispute(app: Flask, event: object) -> None:
        raise GiveUp("the evidence is due today; answer it by hand")

    return app


def live(app: Flask) -> None:
    """Let a day pass, more of it in the afternoon."""
    random.seed(7)
    end = datetime.now(timezone.utc)
    clock = FakeClock(end - timedelta(hours=DAY))
    with WhopTestClient(app, clock=clock) as whop:
        for hour in range(DAY):
            for _ in range(2 + round(9 * (1 - abs(hour - 16) / 16))):
                name = random.choice(["payment.succeeded"] * 8 + ["membership.activated", "payment.failed"])
                answer = whop.deliver(name, check=False)
                if random.random() < 0.1:
                    whop.redeliver(answer, check=False)
            if hour % 6 == 5:
                for name in (
                    "refund.created",
                    "dispute.created",
                    "identity_profile.needs_action",
                ):
                    whop.deliver(name, check=False)
                whop.deliver("payment.succeeded", secret=OTHER_SECRET, check=False)
            clock.advance(timedelta(hours=1))


def picture(browser: Browser, address: str, folder: Path, sizes: tuple[tuple[int, str], ...]) -> None:
    """Take the pictures of all pages."""
    for width, scheme in sizes:
        context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{address}/?state=failed")
        failed = page.locator(".row a.what").first.get_attribute("href") or ""
        pages = {
            "list": address,
            "delivery": f"{address.removesuffix('/whop')}{failed}",
            "health": f"{address}/health",
        }
        for name, where in pages.items():
            page.goto(where)
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=name == "health")
        context.close()


def main() -> None:
    """Make the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else KEPT
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as instance:
        app = shop(Path(instance))
        live(app)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
            picture(
                browser,
                f"http://127.0.0.1:{server.port}/whop",
                folder,
                SHOWN if folder == KEPT else ALL,
            )
            browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
