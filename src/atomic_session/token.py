"""
The token that a browser holds, and its optional signature.

A token is `id "." secret`.  The id is public and names the record; the secret proves that the
browser is the one we gave it to.  A store sees the id and the digest of the secret, never the
secret.  This is the only module that draws randomness.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import NoReturn

__all__ = [
    "SIGNED_LENGTH",
    "TOKEN_LENGTH",
    "Signer",
    "Token",
    "is_session_id",
    "new_salt",
    "new_token",
    "parse_token",
    "renew_token",
]

_ID_BYTES = 16
_SECRET_BYTES = 32
_SALT_BYTES = 16

# Unpadded base64url leaves bits over in its last character: four after 16 bytes, two after 32.
# Only the spelling with those bits at zero is ours, so a token has exactly one spelling.
_ID = r"[A-Za-z0-9_-]{21}[AQgw]"
_ID_TEXT = re.compile(_ID)
_TOKEN_BYTES = re.compile(rf"{_ID}\.[A-Za-z0-9_-]{{42}}[AEIMQUYcgkosw048]".encode())

_ID_LENGTH = 22
_TAG_LENGTH = 43

TOKEN_LENGTH = 66
"""The length of a token's value: the id, a dot, the secret."""

SIGNED_LENGTH = TOKEN_LENGTH + 1 + _TAG_LENGTH
"""The length of a signed token."""

_SIGNER_LABEL = b"atomic-session/cookie/v1"


class _Secretive:
    """The base of what must not leave the process by accident: it refuses to be copied or pickled."""

    __slots__ = ()

    def __getstate__(self) -> NoReturn:  # copy and every protocol of pickle ask it for what to write
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled: it holds a secret")


class Token(_Secretive):
    """
    One browser's key to one session; made by `new_token`, `renew_token` and `parse_token` only.

    Attributes:
        id: the session's public id, 22 characters: safe in logs, lists and pages.
        value: what the cookie carries, 66 characters.  Secret.
        digest: SHA-256 of the secret's characters, 32 bytes: what a store keeps and compares.
    """

    __slots__ = ("digest", "id", "value")

    id: str
    value: str
    digest: bytes

    def __init__(self, raw: bytes) -> None:
        self.value = raw.decode("ascii")
        self.id = self.value[:_ID_LENGTH]
        self.digest = hashlib.sha256(raw[_ID_LENGTH + 1 :]).digest()

    def __repr__(self) -> str:
        return f"<Token {self.id}>"


def new_token() -> Token:
    """Draw a token that nobody has held before: 128 random bits of id, 256 of secret."""
    return _drawn(secrets.token_urlsafe(_ID_BYTES))


def renew_token(id: str) -> Token:
    """
    Draw a fresh secret for the same session.

    Raises:
        ValueError: *id* is no session id.
    """
    if not is_session_id(id):
        raise ValueError("a token can be renewed for a session id only")  # not shown: it might be a whole token
    return _drawn(id)


def new_salt() -> bytes:
    """Draw 16 bytes that make each CSRF token another one."""
    return secrets.token_bytes(_SALT_BYTES)


def parse_token(raw: bytes) -> Token | None:
    """Read a token from the cookie's bytes; None if they are not exactly the one spelling of a token."""
    return None if _TOKEN_BYTES.fullmatch(raw) is None else Token(raw)


def _drawn(id: str) -> Token:
    return Token(f"{id}.{secrets.token_urlsafe(_SECRET_BYTES)}".encode("ascii"))


def is_session_id(text: str) -> bool:
    """Tell whether *text* is spelled as our ids are; it says nothing about a record being there."""
    return _ID_TEXT.fullmatch(text) is not None


class Signer(_Secretive):
    """
    Signs cookie values with HMAC-SHA256, so that a forged cookie costs no trip to the store.

    The first key signs, every key verifies: put a new key in front to change keys, and drop the
    old one when the cookies it signed have run out.
    """

    __slots__ = ("_keys",)

    _keys: tuple[bytes, ...]

    def __init__(self, keys: object) -> None:
        """
        Derive the signing keys.

        *keys* is one key or a sequence of them.  A key is text, bytes, or an object whose `str()`
        is the key (Starlette's `Secret`).

        Raises:
            TypeError: a key is neither of these.
            ValueError: there is no key, or a key is empty, masked or not encodable.
        """
        several = keys if isinstance(keys, Sequence) and not isinstance(keys, str | bytes) else (keys,)
        if not several:
            raise ValueError("secret_key must hold at least one key")
        self._keys = tuple(hmac.digest(_key_bytes(key), _SIGNER_LABEL, "sha256") for key in several)

    def __repr__(self) -> str:
        return f"<Signer keys={len(self._keys)}>"

    def sign(self, value: str) -> str:
        """Return *value* with a dot and 43 characters of signature behind it."""
        return f"{value}.{_tag(self._keys[0], value.encode()).decode('ascii')}"

    def unsign(self, raw: bytes) -> tuple[bytes, bool] | None:
        """
        Return the value that was signed, and whether the first key signed it.

        None if no key of ours did.
        """
        value, dot, tag = raw[: -_TAG_LENGTH - 1], raw[-_TAG_LENGTH - 1 : -_TAG_LENGTH], raw[-_TAG_LENGTH:]
        if dot != b".":
            return None
        for position, key in enumerate(self._keys):
            if hmac.compare_digest(_tag(key, value), tag):
                return value, position == 0
        return None


def _tag(key: bytes, value: bytes) -> bytes:
    return urlsafe_b64encode(hmac.digest(key, value, "sha256")).rstrip(b"=")


def _key_bytes(key: object) -> bytes:
    """Return the bytes of one key; no message shows any of it."""
    raw = key if isinstance(key, bytes) else _key_text(key)
    if not raw.strip():
        raise ValueError("secret_key must not be empty")
    if not raw.strip(b"*"):
        raise ValueError("secret_key is a row of asterisks: give the secret itself, not its mask")
    return raw


def _key_text(key: object) -> bytes:
    """Return the text of a key that is no bytes; refuse an object whose `str()` others can guess."""
    kind = type(key).__name__
    if isinstance(key, str):
        text = key
    elif hasattr(key, "get_secret_value"):
        raise TypeError(f"secret_key must not be a {kind}, whose text is a mask: give its get_secret_value()")
    elif type(key).__str__ is object.__str__:  # then str() is the repr, such as "None" or an address
        raise TypeError(f"secret_key must be text or bytes, not {kind}")
    else:
        text = str(key)
    try:
        return str.encode(text)
    except UnicodeEncodeError:
        raise ValueError("secret_key holds a character that has no UTF-8 form") from None
