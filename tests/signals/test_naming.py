"""A receiver has one name, whichever way its process was started, and one that any database keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_whop.names import LIMIT, name_of, storable_name
from flask_whop.signals import payment_succeeded
from tests.services import free_port
from tests.shop import SECRET

APP = """
import functools, json, multiprocessing, os
from flask import Flask
from flask_whop import WhopWebhooks
from flask_whop.events import parse_event
from flask_whop.engine.installation import Installation
from flask_whop.signals import payment_succeeded

app = Flask(__name__)
app.config["WHOP_STORE"] = "memory://"
whop = WhopWebhooks(app)

def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

class Till:
    def __call__(self, app, event): ...
    def charge(self, app, event): ...

@whop.on("payment.succeeded")
def charge(app, event): ...

@payment_succeeded.connect_via(app)
@decorated
def book(app, event): ...

receivers = [charge, book, Till(), Till().charge, functools.partial(Till().charge, more=1)]
for receiver in receivers[2:4]:
    payment_succeeded.connect(receiver)

def tell():
    event = parse_event(b'{"id": "msg_1", "type": "payment.succeeded"}')
    whole = {
        "endpoint": Installation.of(app).settings.endpoint,
        "names": [call.name for call in payment_succeeded.calls_for(app)],
        "keys": [event.idempotency_key(receiver) for receiver in receivers],
    }
    with open(os.environ["TOLD"] + ".part", "w") as told:
        json.dump(whole, told)
    os.replace(told.name, os.environ["TOLD"])

if "SPAWN" not in os.environ:
    tell()
elif __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=tell)
    child.start()
    child.join()

if "CELERY" in os.environ:
    from celery import Celery
    tasks = Celery("tasks", broker="memory://")
"""

BIN = Path(sys.executable).parent
LAYOUTS = {"module": ("shop.py", "shop"), "package": ("store/web.py", "store.web")}
WAYS = {
    "python FILE": "python {file}",
    "python ABSOLUTE": "python {folder}/{file}",
    "python -m MODULE": "python -m {module}",
    "flask run, a module": "flask --app {module} run --port {port}",
    "flask run, a file": "flask --app {file} run --port {port}",
    "python -m flask": "python -m flask --app {module} run --port {port}",
    "gunicorn": "gunicorn --bind 127.0.0.1:{port} {module}:app",
    "celery": "env CELERY=1 celery -A {module}:tasks worker --pool solo --without-mingle --without-gossip",
}
ODD_WAYS = {
    "a profiler": "python -m cProfile -o {file}.profile {file}",
    "coverage": "coverage run --data-file={file}.coverage {file}",
    "multiprocessing": "env SPAWN=1 python {file}",
    "multiprocessing, -m": "env SPAWN=1 python -m {module}",
}


def told_by(command, folder):
    """What the app says of itself in a process that was started by a command."""
    told = folder / "told"
    told.unlink(missing_ok=True)
    environ = {**os.environ, "WHOP_WEBHOOK_SECRET": SECRET, "TOLD": str(told), "PATH": f"{BIN}:{os.environ['PATH']}"}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command.split(), cwd=folder, env=environ, stdout=output, stderr=output)
        while process.poll() is None and not told.exists():
            time.sleep(0.02)
        process.terminate()
        process.wait(20)
    assert told.exists(), (folder / "output").read_text()
    return json.loads(told.read_text())


@pytest.fixture(scope="module", params=LAYOUTS.values(), ids=LAYOUTS.keys())
def project(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    file, module = request.param
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(APP)
    if "/" in file:
        (folder / file).with_name("__init__.py").touch()
    return folder, file, module


@pytest.mark.parametrize("command", WAYS.values(), ids=WAYS.keys())
def test_names_and_keys_are_the_same_however_the_process_was_started(project, command):
    folder, file, module = project
    told = told_by(command.format(folder=folder, file=file, module=module, port=free_port()), folder)
    assert (told["names"], told["keys"]) == expected(module)
    assert told["endpoint"] == module.rpartition(".")[2]


@pytest.mark.parametrize("command", ODD_WAYS.values(), ids=ODD_WAYS.keys())
def test_names_and_keys_are_the_same_where_another_program_runs_the_file(project, command):
    folder, file, module = project
    told = told_by(command.format(folder=folder, file=file, module=module), folder)
    assert (told["names"], told["keys"]) == expected(module)


def expected(module):
    names = [f"{module}:{name}" for name in ("charge", "book", "Till", "Till.charge")]
    return names, [sha256(f"msg_1\n{name}".encode()).hexdigest()[:32] for name in (*names, names[-1])]


@pytest.mark.parametrize(
    "way", ["python kiosk", "python kiosk/__main__.py", "python -m kiosk", "python -m kiosk.__main__"]
)
def test_a_package_that_is_run_has_the_name_of_its_main_module(tmp_path, way):
    (tmp_path / "kiosk").mkdir()
    (tmp_path / "kiosk" / "__init__.py").touch()
    (tmp_path / "kiosk" / "__main__.py").write_text(APP)
    told = told_by(way, tmp_path)
    assert told["names"][0] == "kiosk.__main__:charge"


def test_what_was_typed_in_keeps_the_name_that_python_gives_it(tmp_path):
    code = "from flask_whop.names import name_of\ndef charge(): ...\nprint(name_of(charge))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "__main__:charge\n"


def test_a_circle_of_wrapped_functions_is_no_endless_loop():
    def receiver(app, event): ...

    receiver.__wrapped__ = receiver
    receiver.__module__ = "__main__"
    assert name_of(partial(receiver)).endswith("receiver")
    payment_succeeded.connect(receiver, name="circle")


# Names fit for any database.


@given(st.lists(st.text(st.characters(), max_size=LIMIT + 20), min_size=2, max_size=2, unique=True))
def test_names_are_kept_in_plain_ascii_and_two_stay_two(names):
    kept = [storable_name(name) for name in names]
    assert all(name.isascii() and name.isprintable() and len(name) <= LIMIT for name in kept)
    assert all(
        name == name.strip() or name.startswith(" ") for name in kept
    )  # blanks at the end do not count for MySQL
    assert len(set(kept)) == 2


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("shop:fulfil", "shop:fulfil"),
        ("größe", "gr\\xf6\\xdfe"),
        ("a\nb\x00\x7f", "a\\nb\\x00\\x7f"),
        ("\ud800", "\\ud800"),
        ("gr\\xf6\\xdfe", "gr\\\\xf6\\\\xdfe"),
        ("books ", "books\\x20"),
    ],
)
def test_what_is_not_plain_ascii_in_a_name_is_escaped(app, whop, name, kept):
    whop.on("payment.succeeded", name=name, was=[name + "1"])(lambda app, event: None)
    [call] = payment_succeeded.calls_for(app)
    assert call.name == kept
    assert call.was == (storable_name(name + "1"),)
