"""A small fuzz of every store; the large one is a command, ``python -m tests.fuzz``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flask_whop.stores import MemoryStore
from tests import fuzz
from tests.hostile import HOSTILE
from tests.stores import STORES


def fuzzed(store, requests=400, seed=7, prepare=lambda app, whop: None):
    with fuzz.shop(store) as (app, whop):
        prepare(app, whop)
        return fuzz.Fuzz(app, whop, seed=seed).run(requests)


@pytest.mark.parametrize("store", STORES)
def test_whatever_is_sent_nothing_is_forged_lost_doubled_or_answered_5xx(store):
    figures = fuzzed(store)
    assert figures.faults == 0, figures
    assert figures.delivered > 50
    assert set(figures.statuses) == {"200", "400", "401", "404", "405"}
    assert len(figures.kinds) == 9


# That it would notice.


def test_it_notices_a_forgery(monkeypatch):
    monkeypatch.setattr("flask_whop.signature.compare_digest", lambda expected, found: True)
    assert fuzzed("memory").forged > 0


def test_it_notices_a_receiver_that_fails():
    def prepare(app, whop):
        @whop.on("*")
        def fail(app, event):
            raise KeyError("total")

    figures = fuzzed("memory", 100, prepare=prepare)
    assert figures.failed > 0
    assert figures.reported > 0


def test_it_notices_what_is_lost():
    figures = fuzzed("memory", 100, prepare=lambda app, whop: app.before_request(lambda: ("maintenance", 404)))
    assert figures.lost > 0


def test_it_notices_what_leaves_the_app():
    def prepare(app, whop):
        @app.after_request
        def stop(response):
            if response.status_code == 401:
                raise SystemExit
            return response

    assert fuzzed("memory", 100, prepare=prepare).raised > 0


def test_it_notices_what_is_delivered_twice():
    def prepare(app, whop):
        # A store that has forgotten everything, each time.
        whop._store.claim = lambda *claimed: MemoryStore().claim(*claimed)

    assert fuzzed("memory", 400, prepare=prepare).doubled > 0


def test_it_notices_a_diagnosis_that_fails(monkeypatch):
    monkeypatch.setattr("flask_whop.doctor.watch.examine", lambda app, captured, now: 1 / 0)
    assert fuzzed("memory", 100).undiagnosed > 0


def test_the_command_prints_figures_and_exits_with_1_if_there_is_a_fault(monkeypatch):
    ran = CliRunner().invoke(fuzz.main, ["--requests", "100", "--store", "memory"])
    assert ran.exit_code == 0
    assert "forged 0, lost 0, doubled 0, 5xx 0, raised 0" in ran.output
    monkeypatch.setattr("flask_whop.signature.compare_digest", lambda expected, found: True)
    assert CliRunner().invoke(fuzz.main, ["--requests", "100"]).exit_code == 1


def test_the_worst_single_unsigned_request_takes_a_few_times_its_own_memory():
    costs = fuzz.worst((65_536, 1_048_576))
    assert {cost.kind for cost in costs} == {*HOSTILE}
    for cost in costs:
        assert cost.peak < 3 * cost.size + 262_144, cost
