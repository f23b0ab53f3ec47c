"""One commit for all threads that wait to write to a database with one writer at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from flask_whop.errors import StoreUnavailable
from flask_whop.forks import renew_after_fork

_AT_ONCE: Final = 32

ResultT = TypeVar("ResultT")
ConnectionT = TypeVar("ConnectionT")


class Wish(Generic[ConnectionT, ResultT]):
    """A write that one thread wants, and its outcome."""

    __slots__ = ("error", "granted", "job", "result")

    def __init__(self, job: Callable[[ConnectionT], ResultT]) -> None:
        self.job: Callable[[ConnectionT], ResultT] = job
        self.granted: bool = False
        self.result: ResultT | None = None
        self.error: BaseException | None = None

    def do(self, connection: ConnectionT) -> None:
        """Do it."""
        self.result = self.job(connection)

    def outcome(self) -> ResultT:
        """Return what the job returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # its job has been done


class GroupCommit(Generic[ConnectionT]):
    """Lets the threads of a process take turns; the one whose turn it is writes for all that wait.

    ``commit_one`` does one job in a transaction, or without one if it is a single statement.
    ``commit_all`` does several wishes in one transaction, and sets the ``error`` of those that
    fail on their own; what it raises is the error of all. No thread goes on before the commit.
    ``patience`` is how many seconds a thread waits for its turn.
    """

    def __init__(
        self,
        commit_one: Callable[[Callable[[ConnectionT], Any], bool], Any],
        commit_all: Callable[[list[Wish[ConnectionT, Any]]], None],
        *,
        patience: float,
    ) -> None:
        self._commit_one = commit_one
        self._commit_all = commit_all
        self._patience = patience
        self._start_over()
        # A fork may come while another thread has the turn, which never ends in the child.
        renew_after_fork(self._start_over)

    def _start_over(self) -> None:
        self._wishes: deque[Wish[ConnectionT, Any]] = deque()
        self._turn = Lock()

    def do(self, job: Callable[[ConnectionT], ResultT], *, alone: bool = False) -> ResultT:
        """Do ``job`` in a transaction, and return its result after the commit.

        ``alone`` says that it is one statement. Raises what the job raises, with nothing of
        it written, and :class:`~flask_whop.errors.StoreUnavailable`.
        """
        if not self._wishes and self._turn.acquire(blocking=False):
            # Nobody waits, as is nearly always the case.
            try:
                result: ResultT = self._commit_one(job, alone)
            finally:
                self._turn.release()
            return result
        wish = Wish(job)
        self._wishes.append(wish)
        if not self._turn.acquire(timeout=self._patience):
            try:
                self._wishes.remove(wish)
            except ValueError:
                # It is being granted.
                self._turn.acquire()
            else:
                raise StoreUnavailable("The store can't be used now: other threads are writing to it.")
        try:
            while not wish.granted:
                self._grant()
        finally:
            self._turn.release()
        return wish.outcome()

    def _grant(self) -> None:
        wishes = [self._wishes.popleft() for _ in range(min(_AT_ONCE, len(self._wishes)))]
        try:
            self._commit_all(wishes)
        except Exception as error:  # noqa: BLE001  # each of them raises it
            for wish in wishes:
                wish.error = error
        except BaseException:
            # This thread must end; the others need not.
            for wish in wishes:
                wish.error = StoreUnavailable("The store can't be used now: the process is ending.")
            raise
        finally:
            for wish in wishes:
                wish.granted = True
