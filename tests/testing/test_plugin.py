"""The pytest plugin: there without a word, free until used, and the same under xdist and beside unittest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shop import SECRET

pytest_plugins = ["pytester"]

CONFTEST = f"""
import pytest
from flask import Flask
from flask_whop import WhopWebhooks

@pytest.fixture
def app():
    app = Flask("shop")
    app.config["WHOP_WEBHOOK_SECRET"] = {SECRET!r}
    WhopWebhooks(app)
    return app
"""


@pytest.fixture
def project(pytester):
    """A project of a user's, whose tests run in a process of their own."""
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers -p no:cacheprovider\n")
    return pytester


def test_a_run_that_does_not_use_it_imports_next_to_nothing_of_flask_whop(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported():
            assert {name for name in sys.modules if name.split(".")[0] == "flask_whop"} == {
                "flask_whop", "flask_whop.lazy", "flask_whop.testing", "flask_whop.testing.pytest_plugin"
            }
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_plugin_imports_pytest_and_nothing_else():
    code = (
        "import sys, typing, pytest; before = set(sys.modules); import flask_whop.testing.pytest_plugin;"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('flask_whop')))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_a_test_that_asks_for_whop_has_it(project):
    project.makepyfile(
        """
        from flask_whop.signals import payment_succeeded

        def test_a_payment(whop):
            seen = []
            payment_succeeded.connect(lambda app, event: seen.append(event))
            whop.deliver("payment.succeeded")
            assert seen == whop.captured
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_fixture_is_listed_with_a_word_about_it(project):
    listed = project.runpytest_subprocess("--fixtures").stdout.str()
    assert re.search(r"whop -- .*pytest_plugin.py:\d+\n\s+Deliver Whop's events to", listed)


def test_what_a_test_connects_is_gone_in_the_next_one_and_what_a_module_connects_is_not(project):
    project.makepyfile(
        """
        from flask_whop.signals import payment_succeeded

        of_module = []
        of_tests = []
        payment_succeeded.connect(lambda app, event: of_module.append(event))

        def test_one(whop):
            payment_succeeded.connect(lambda app, event: of_tests.append(event))
            whop.deliver("payment.succeeded")

        def test_two(whop):
            whop.deliver("payment.succeeded")
            assert (len(of_tests), len(of_module)) == (1, 2)
        """
    )
    project.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


def test_an_app_for_the_whole_session_keeps_its_receivers_and_none_of_the_tests(project):
    project.makeconftest(CONFTEST.replace("@pytest.fixture", '@pytest.fixture(scope="session")'))
    project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_one_receiver_is_called(app, whop, number):
            seen = []

            @app.extensions["whop"].on("payment.*")
            def note(app, event):
                seen.append(event)

            whop.deliver("payment.succeeded")
            assert len(seen) == 1
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=3)


def test_a_failing_receiver_fails_its_test_with_its_own_traceback(project):
    project.makepyfile(
        """
        from flask_whop.signals import payment_succeeded

        def test_a_payment(whop):
            @payment_succeeded.connect
            def fulfil(app, event):
                raise KeyError("plan_1")  # the line to look at

            whop.deliver("payment.succeeded")
        """
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    told = result.stdout.str()
    assert "the line to look at" in told
    assert "payment.succeeded msg_" in told
    assert "was answered 500 failed" in told
    assert "client.py" not in told.split("was answered 500 failed")[1].split("short test summary")[0]


def test_an_app_without_the_extension_is_told_so(project):
    project.makeconftest(CONFTEST.replace("WhopWebhooks(app)", ""))
    project.makepyfile("def test_a_payment(whop): pass")
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*WhopWebhooks isn't set up for this app: call WhopWebhooks(app)*"])


def test_an_app_that_reads_no_secret_needs_none(project, monkeypatch):
    monkeypatch.delenv("WHOP_WEBHOOK_SECRET", raising=False)
    project.makeconftest(CONFTEST.replace('"WHOP_WEBHOOK_SECRET"', '"TESTING"').replace(repr(SECRET), "True"))
    project.makepyfile(
        """
        def test_a_payment(whop):
            assert whop.deliver("payment.succeeded").status_code == 200
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_fixture_of_the_same_name_takes_its_place(project):
    project.makepyfile(
        """
        import pytest

        @pytest.fixture
        def whop():
            return "mine"

        def test_mine(whop):
            assert whop == "mine"
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_it_can_be_left_out(project):
    project.makepyfile("def test_a_payment(whop): pass")
    result = project.runpytest_subprocess("-p", "no:flask_whop")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'whop' not found*"])


def test_it_works_on_several_workers(project):
    project.makepyfile(
        """
        import pytest
        from flask_whop.signals import payment_succeeded

        @pytest.mark.parametrize("number", range(40))
        def test_a_payment(whop, number):
            seen = []
            payment_succeeded.connect(lambda app, event: seen.append(event))
            whop.deliver("payment.succeeded")
            whop.deliver("payment.failed")
            assert whop.captured[:1] == seen
        """
    )
    project.runpytest_subprocess("-n", "2").assert_outcomes(passed=40)


def test_it_leaves_the_figures_of_coverage_alone(project):
    project.makepyfile(
        shop="""
        from flask_whop.signals import payment_succeeded

        fulfilled = []

        @payment_succeeded.connect
        def fulfil(app, event):
            fulfilled.append(event.id)
        """,
        test_shop="""
        from shop import fulfilled

        def test_a_payment(whop):
            assert fulfilled == [whop.deliver("payment.succeeded").event.id]
        """,
    )
    project.run(sys.executable, "-m", "coverage", "run", "--source=shop", "-m", "pytest").assert_outcomes(passed=1)
    report = project.run(sys.executable, "-m", "coverage", "report", "--format=total")
    assert report.stdout.str().strip() == "100"


def test_the_tests_of_a_user_run_in_a_project_of_their_own(pytester):
    source = (Path(__file__).parent / "test_as_a_user_would.py").read_text()
    without_override = re.sub(r"# The tests of flask_whop have .*?yield client\n", "", source, flags=re.DOTALL)
    assert "def whop(" in source
    assert "def whop(" not in without_override
    pytester.makepyfile(without_override)
    pytester.runpytest_subprocess("-n", "2", "-W", "error").assert_outcomes(passed=source.count("def test_"))


def test_the_tests_of_a_user_import_public_names_alone():
    source = (Path(__file__).parent / "test_as_a_user_would.py").read_text()
    imported = re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE)
    assert {name for name in imported if name.startswith(("flask_whop", "tests"))} == {
        "flask_whop",
        "flask_whop.events",
        "flask_whop.testing",
    }
    assert not re.search(r"\._[a-z]", source)


def test_unittest_is_enough(pytester):
    pytester.makepyfile(
        test_shop=f"""
        import sys
        import unittest
        from flask import Flask
        from flask_whop import WhopWebhooks
        from flask_whop.signals import payment_succeeded
        from flask_whop.testing import WhopTestClient

        class TestShop(unittest.TestCase):
            def setUp(self):
                app = Flask("shop")
                app.config["WHOP_WEBHOOK_SECRET"] = {SECRET!r}
                WhopWebhooks(app)
                self.whop = WhopTestClient(app)
                self.addCleanup(self.whop.close)

            def test_one(self):
                payment_succeeded.connect(lambda app, event: 1 / 0)
                with self.assertRaises(self.failureException):
                    self.whop.deliver("payment.succeeded")

            def test_two(self):
                self.assertEqual(self.whop.deliver("payment.succeeded").status, "unhandled")
                self.assertNotIn("pytest", sys.modules)
        """
    )
    result = pytester.run(sys.executable, "-W", "error", "-m", "unittest", "-q")
    assert result.ret == 0
    assert "Ran 2 tests" in result.stderr.str()
