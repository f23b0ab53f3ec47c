"""What it costs to import flask_whop, and to give a first answer, in time and in memory.

    python tests/benchmarks/import_cost.py [rounds]

The import stands beside that of what it stands on. The start to the first answer stands
beside that of an app by hand: Flask, whop-sdk's ``unwrap`` and a small model; the module
of whop-sdk is loaded by its file, since its package imports a whole client.

Each run is a fresh interpreter, all of them in turn, so that whatever else the machine
does falls on all of them. Time is from before the import, and the median; memory is the
growth of the resident set's peak (Linux and macOS).
"""

from __future__ import annotations

import ast
import base64
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 25
SECRET = "ws_" + "5b1c9fe07d2a4836" * 4
BODY = (Path(__file__).parents[2] / "tests/documented.json").read_bytes()
# Not imported here: the peak of a process counts in that of its children.
SIGN = f"from flask_whop.signature import sign; print(sign({BODY!r}, {SECRET!r}, delivery_id='msg_1'))"
HEADERS = ast.literal_eval(subprocess.check_output([sys.executable, "-c", SIGN], text=True))

SEND = f"""
import base64, io
body = base64.b64decode({base64.b64encode(BODY)!r})
environ = {{"REQUEST_METHOD": "POST", "PATH_INFO": "/webhooks/whop", "SCRIPT_NAME": "", "QUERY_STRING": "",
    "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": str(len(body)), "HTTP_HOST": "localhost"}}
environ.update({{"HTTP_" + name.upper().replace("-", "_"): value for name, value in {HEADERS!r}.items()}})
statuses = []
answer = app(environ, lambda status, headers, exc_info=None: statuses.append(status))
b"".join(answer)
answer.close()
assert statuses == ["200 OK"], statuses
"""
BY_HAND = f"""
from importlib.util import module_from_spec, spec_from_file_location
from flask import Flask, jsonify, request
from pydantic import BaseModel
spec = spec_from_file_location("verify_webhook", {{helper!r}})
helper = module_from_spec(spec)
spec.loader.exec_module(helper)

class Verification(BaseModel):
    last_error_reason: str | None = None

class Profile(BaseModel):
    id: str
    email: str | None = None
    verifications: list[Verification] = []

app = Flask("by_hand")
done = {{{{}}}}

@app.post("/webhooks/whop")
def receive():
    event = helper.unwrap(request.get_data(), headers=request.headers, key={SECRET!r})
    if request.headers["webhook-id"] in done:
        return jsonify(status="duplicate")
    profile = Profile.model_validate(event["data"])
    assert profile.email and profile.verifications[0].last_error_reason
    done[request.headers["webhook-id"]] = True
    return jsonify(status="ok")
"""
OURS = f"""
from flask import Flask
from flask_whop import WhopWebhooks
app = Flask("extension")
app.config.update(WHOP_WEBHOOK_SECRET={SECRET!r}, WHOP_STORE="memory://")
whop = WhopWebhooks(app)

@whop.on("identity_profile.needs_action")
def receiver(app, event, **extra):
    assert event.data.email and event.data.verifications[0].last_error_reason
"""
HELPER = str(Path(find_spec("whop_sdk").origin).parent / "lib/verify_webhook.py")
RUNS = {
    "what it stands on": "import flask, blinker, standardwebhooks; from pydantic import BaseModel",
    "import WhopWebhooks": "from flask_whop import WhopWebhooks",
    "... and two signals": (
        "from flask_whop import WhopWebhooks; from flask_whop.signals import payment_succeeded, membership_activated"
    ),
    "first answer, by hand": BY_HAND.format(helper=HELPER) + SEND,
    "first answer, flask_whop": OURS + SEND,
}
BASES = {"what it stands on", "first answer, by hand"}
MEASURE = """
import resource, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
{statement}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

# Installed packages are compiled; where this is set, a checkout would not be.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(statement: str) -> tuple[float, float]:
    """Run ``statement`` in a fresh interpreter; the seconds and the units of memory that it took."""
    printed = subprocess.run(
        [sys.executable, "-c", MEASURE.format(statement=statement)],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    ).stdout
    seconds, memory = map(float, printed.split())
    return seconds, memory


def main() -> None:
    """Measure, and print a line for each run, beside that which it is compared with."""
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in RUNS}
    for number in range(ROUNDS + 1):
        for name, statement in RUNS.items():
            measured = measure(statement)
            if number:  # the first round warms the caches of compiled files and of the disk
                taken[name].append(measured)
    base = (1.0, 1.0)
    for name, measured in taken.items():
        seconds, memory = (median(column) for column in zip(*measured, strict=True))
        base = (seconds, memory) if name in BASES else base
        print(
            f"{name:26} {seconds * 1000:7.1f} ms  {seconds / base[0]:.2f}"
            f"   {memory / unit:6.1f} MiB  {memory / base[1]:.2f}"
        )


if __name__ == "__main__":
    main()
