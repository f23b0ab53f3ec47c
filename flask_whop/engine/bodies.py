"""Bodies on their way into the store and back: as they came, or encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flask_whop.errors import StoreUnavailable

if TYPE_CHECKING:
    from flask_whop.stores import Stored


class Cipher(Protocol):
    """Encrypts bodies before they're stored; ``cryptography``'s ``Fernet`` and ``MultiFernet`` are such."""

    def encrypt(self, data: bytes, /) -> bytes:
        """Return what is stored of a body."""
        ...

    def decrypt(self, token: bytes, /) -> bytes:
        """Return the body again; raise anything if it can't be."""
        ...


class Bodies:
    """Seals and opens bodies with ``cipher``; without one, they are stored as they came."""

    def __init__(self, cipher: Cipher | None) -> None:
        self._cipher = cipher

    def sealed(self, body: bytes) -> bytes:
        """Return what is stored of a body."""
        return body if self._cipher is None else self._cipher.encrypt(body)

    def opened(self, stored: Stored) -> bytes | None:
        """Return the body of a delivery as it came; None if it's gone.

        Raises :class:`~flask_whop.errors.StoreUnavailable` if it can't be decrypted.
        """
        if stored.body is None or self._cipher is None:
            return stored.body
        try:
            return self._cipher.decrypt(stored.body)
        except Exception as error:  # noqa: BLE001  # each cipher has its own
            raise StoreUnavailable(
                f"The body of delivery {stored.key.id} can't be decrypted ({type(error).__name__}): the cipher has"
                " another key. Give it the former key as well."
            ) from None
