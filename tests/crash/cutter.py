"""Stands between an app and its database, and cuts connections, most of them in mid-commit."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time

# Besides COMMIT itself, a statement that is a transaction of its own, and PostgreSQL's
# message that executes one which the server has prepared.
_COMMITS = re.compile(rb"COMMIT|INSERT INTO|UPDATE \S|\AB", re.IGNORECASE)


class Cutter:
    """Passes everything on to a server on this machine, until it cuts.

    With a chance of ``at_commit`` it cuts where something goes by that commits, half of the
    times before the server has it and half of the times after; elsewhere ``rarely``.
    """

    def __init__(self, port: int, *, at_commit: float = 0.02, rarely: float = 0.001) -> None:
        self._server = ("127.0.0.1", port)
        self._at_commit = at_commit
        self._rarely = rarely
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self.cutting = True
        """Whether to cut at random."""
        self.cut_after: bytes | None = None
        """What the server is to get still, before its answer to it is cut off, once."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._server) as server:
            answers = threading.Thread(target=self._answer, args=(server, client), daemon=True)
            answers.start()
            try:
                self._pass_on(client, server)
            finally:
                # A socket that somebody waits for is not closed until it is shut down.
                server.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while data := client.recv(65_536):
            if self.cut_after is not None and self.cut_after in data:
                self.cut_after = None
                self._cut(client, server, data, reached=True)
                return
            chance = self._at_commit if _COMMITS.search(data) else self._rarely
            if self.cutting and random.random() < chance:
                self.cuts += 1
                self._cut(client, server, data, reached=random.random() < 0.5)
                return
            server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def _cut(self, client: socket.socket, server: socket.socket, data: bytes, *, reached: bool) -> None:
        """Hang up on the client; the server has got the last words, or not."""
        client.shutdown(socket.SHUT_RDWR)
        if reached:
            server.sendall(data)
            time.sleep(0.05)
