"""What a forked child renews."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest

from flask_whop import forks
from flask_whop.forks import process, renew_after_fork


class Lock:
    def __init__(self):
        self.renewals = 0
        self.renew()
        renew_after_fork(self.renew)

    def renew(self):
        self.renewals += 1
        self.lock = threading.Lock()
        self.process = process.current


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_has_a_new_identity_and_new_locks():
    parent, held = process.current, Lock()
    held.lock.acquire()
    child = os.fork()
    if child == 0:
        renewed = held.renewals == 2 and held.lock.acquire(blocking=False)
        os._exit(0 if renewed and process.current is not parent and held.process is process.current else 3)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert process.current is parent
    assert held.renewals == 1


def test_what_is_renewed_is_not_kept_alive():
    before = len(forks._renewals)
    held = Lock()
    assert len(forks._renewals) == before + 1
    del held
    gc.collect()
    assert len(forks._renewals) <= before


def test_a_fork_in_c_which_runs_no_hooks_has_an_identity_and_tokens_of_its_own():
    code = (
        "import ctypes, os\n"
        "from flask_whop.engine.leases import new_token\n"
        "from flask_whop.forks import process\n"
        "before, token = process.current, new_token()\n"
        "if (child := ctypes.PyDLL(None).fork()) == 0:\n"
        "    other = new_token().partition('-')[0] != token.partition('-')[0]\n"
        "    os._exit(0 if other and process.current is not before else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
