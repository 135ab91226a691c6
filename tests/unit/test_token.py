"""Tokens have one spelling, keep their secret, and cannot be forged once signed."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import secrets
import string
import traceback
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from enum import Enum
from functools import partial, reduce
from hashlib import sha256
from operator import and_, or_
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_session.token import (
    SIGNED_LENGTH,
    TOKEN_LENGTH,
    Signer,
    is_session_id,
    new_token,
    parse_token,
    renew_token,
)

ALPHABET = (string.ascii_letters + string.digits + "-_").encode()
VALUE = "AAECAwQFBgcICQoLDA0ODw.ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
KEY = "a very private key"


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bits(value: str) -> tuple[bytes, bytes]:
    """Return the bits of id and secret, read as leniently as base64 can be."""
    session_id, _, secret = value.partition(".")
    return urlsafe_b64decode(session_id + "=="), urlsafe_b64decode(secret + "=")


# --- drawing


def test_a_token_is_an_id_of_16_bytes_and_a_secret_of_32() -> None:
    token = new_token()
    session_id, secret = _bits(token.value)

    assert len(token.value) == TOKEN_LENGTH == 66
    assert (len(session_id), len(secret)) == (16, 32)
    assert token.id == token.value[:22] == _encode(session_id)
    assert token.value[22] == "."
    assert token.digest == sha256(token.value[23:].encode()).digest()


def test_every_bit_of_a_token_is_random() -> None:
    numbers = [int.from_bytes(b"".join(_bits(new_token().value))) for _ in range(256)]

    assert len(set(numbers)) == 256
    assert reduce(or_, numbers) == 2**384 - 1  # each bit was one in some token
    assert reduce(and_, numbers) == 0  # and zero in another


def test_tokens_come_from_the_systems_secrets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def fixed(size: int) -> str:
        drawn.append(size)
        return _encode(bytes(range(len(drawn), len(drawn) + size)))

    monkeypatch.setattr(secrets, "token_urlsafe", fixed)

    assert new_token().value == f"{_encode(bytes(range(1, 17)))}.{_encode(bytes(range(2, 34)))}"
    assert renew_token(VALUE[:22]).value == f"{VALUE[:22]}.{_encode(bytes(range(3, 35)))}"
    assert drawn == [16, 32, 32]


def test_a_renewed_token_keeps_its_id_and_nothing_else() -> None:
    old = new_token()
    fresh = renew_token(old.id)

    assert fresh.id == old.id
    assert fresh.value != old.value
    assert fresh.digest != old.digest
    assert parse_token(fresh.value.encode()) is not None


@pytest.mark.parametrize("text", ["", VALUE, VALUE[:21], VALUE[:21] + "B", VALUE[:22] + "\n"])
def test_only_a_session_id_can_be_renewed_and_a_mistaken_one_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="session id only") as caught:
        renew_token(text)

    assert not text or text not in str(caught.value)


# --- parsing


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_every_token_is_read_back_as_itself(session_id: bytes, secret: bytes) -> None:
    value = f"{_encode(session_id)}.{_encode(secret)}"
    token = parse_token(value.encode())

    assert token is not None
    assert (token.id, token.value) == (_encode(session_id), value)
    assert token.digest == sha256(_encode(secret).encode()).digest()


@pytest.mark.parametrize("position", range(TOKEN_LENGTH))
def test_a_changed_character_makes_another_token_or_none(position: int) -> None:
    raw = VALUE.encode()
    for byte in range(256):
        changed = raw[:position] + bytes([byte]) + raw[position + 1 :]
        token = parse_token(changed)
        if token is not None and changed != raw:
            assert position != 22
            assert byte in ALPHABET
            assert token.value.encode() == changed
            assert _bits(token.value) != _bits(VALUE)


@pytest.mark.parametrize(("position", "spellings"), [(21, "AQgw"), (65, "AEIMQUYcgkosw048")])
def test_a_last_character_has_no_other_spelling(position: int, spellings: str) -> None:
    accepted = {
        chr(last)
        for last in ALPHABET
        if parse_token(VALUE[:position].encode() + bytes([last]) + VALUE[position + 1 :].encode())
    }

    assert accepted == set(spellings)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        VALUE.encode() + b"=",
        VALUE.encode() + b"\n",
        VALUE.encode() + b"\x00",
        VALUE.encode() + b"A",
        b" " + VALUE.encode(),
        b'"' + VALUE.encode() + b'"',
        VALUE.encode()[:-1],
        VALUE.encode()[1:],
        VALUE.replace(".", "").encode(),
        VALUE.replace(".", "..").encode(),
        VALUE.replace(".", "==.").encode() + b"=",
        VALUE.replace(".", "%2E").encode(),
        VALUE.replace(".", "\u3002").encode(),
        VALUE.encode("utf-16-le"),
        VALUE.encode("utf-8-sig"),
        VALUE[23:].encode() + b"." + VALUE[:22].encode(),
        b"\xff" * TOKEN_LENGTH,
        VALUE.encode() * 1_000,
    ],
)
def test_what_is_not_exactly_a_token_is_none(raw: bytes) -> None:
    assert parse_token(raw) is None


@given(st.binary() | st.lists(st.sampled_from(ALPHABET + b"."), min_size=60, max_size=70).map(bytes))
def test_any_bytes_are_the_spelling_of_one_token_or_none(raw: bytes) -> None:
    token = parse_token(raw)

    assert token is None or token.value.encode() == raw


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (VALUE[:22], True),
        ("-" * 21 + "A", True),
        ("", False),
        (VALUE[:21], False),
        (VALUE[:22] + "A", False),
        (VALUE[:21] + "x", False),
        (VALUE[:22] + "\n", False),
        ("é" * 21 + "A", False),
        ("\u0661" * 21 + "A", False),
        (VALUE, False),
        ("../../../../etc/passwd", False),
    ],
)
def test_a_session_id_has_one_spelling_too(text: str, *, expected: bool) -> None:
    assert is_session_id(text) is expected


# --- keeping the secret


def _traceback_of(**held: object) -> str:
    """Return a traceback that shows every local of the frame in which *held* is held."""
    try:
        raise RuntimeError(f"with {held}")
    except RuntimeError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def _log_line(held: object) -> str:
    return logging.makeLogRecord({"msg": "%s %r", "args": (held, held)}).getMessage()


WAYS_OUT: list[Callable[[Any], str]] = [
    repr,
    str,
    ascii,
    format,
    pprint.pformat,
    _log_line,
    lambda held: f"{held} {held!r} {held!s}",
    lambda held: "%s %r" % (held, held),  # noqa: UP031 - one of the ways
    lambda held: str([held, {"it": held}]),
    lambda held: _traceback_of(held=held),
    lambda held: json.dumps(held, default=str),
]


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_no_text_of_a_token_shows_its_secret(way_out: Callable[[Any], str]) -> None:
    token = new_token()
    text = way_out(token)

    assert token.id in text
    assert token.value[23:] not in text
    assert token.digest.hex() not in text
    assert repr(token.digest)[2:-1] not in text


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_no_text_of_a_signer_shows_its_keys(way_out: Callable[[Any], str]) -> None:
    signer = Signer([KEY, b"older"])
    text = way_out(signer)

    assert "<Signer keys=2>" in text
    for key in (KEY, "older", *map(repr, signer._keys)):
        assert key not in text


COPIES: list[Callable[[Any], object]] = [copy.copy, copy.deepcopy, json.dumps, vars, lambda held: held.__getstate__()]
COPIES += [partial(pickle.dumps, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)]


@pytest.mark.parametrize("copying", COPIES)
def test_neither_a_token_nor_a_signer_is_copied_or_pickled(copying: Callable[[Any], object]) -> None:
    token = new_token()
    for held in (token, Signer(KEY)):
        with pytest.raises(TypeError) as caught:
            copying(held)
        assert token.value[23:] not in str(caught.value)
        assert KEY not in str(caught.value)


# --- signing


class _Hidden:
    """A key as some settings hold it: its `str()` is the key."""

    def __str__(self) -> str:
        return KEY

    def __repr__(self) -> str:
        return "_Hidden('**********')"


class _Masked:
    """A key as other settings hold it: its `str()` is a mask."""

    def __str__(self) -> str:
        return "**********"

    @staticmethod
    def get_secret_value() -> str:
        return KEY


class _Member(str, Enum):  # noqa: UP042 - its str() is not its value
    KEY = KEY


def test_a_signed_value_is_the_value_and_43_characters() -> None:
    signed = Signer(KEY).sign(VALUE)

    assert len(signed) == SIGNED_LENGTH == 110
    assert signed[:67] == f"{VALUE}."
    assert set(signed[67:].encode()) <= set(ALPHABET)


def test_a_signature_stays_what_it_was_in_earlier_releases() -> None:
    assert Signer("key").sign("value") == "value.Ayc2HlRnF_alNa-19mPfSAeiqr9hCOtKZuV378YUl0M"


@pytest.mark.parametrize(
    "key", [KEY, KEY.encode(), [KEY], (KEY.encode(), "older"), _Hidden(), [_Hidden()], _Member.KEY]
)
def test_a_key_may_be_text_or_bytes_or_be_hidden_in_an_object(key: object) -> None:
    assert Signer(key).unsign(Signer(KEY).sign(VALUE).encode()) == (VALUE.encode(), True)


@given(st.text(max_size=200), st.binary(min_size=1).filter(lambda key: key.strip(b"*").strip()))
def test_every_value_is_unsigned_as_itself(value: str, key: bytes) -> None:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        return
    signer = Signer(key)

    assert signer.unsign(signer.sign(value).encode()) == (raw, True)


@given(st.binary() | st.binary(min_size=44, max_size=44).map(lambda tail: VALUE.encode() + tail))
def test_what_was_never_signed_is_refused(raw: bytes) -> None:
    assert Signer([KEY, "older"]).unsign(raw) is None


def test_no_changed_character_of_a_signed_value_is_accepted() -> None:
    signer = Signer(KEY)
    raw = signer.sign(VALUE).encode()
    for position in range(len(raw)):
        for byte in {0, 0x0A, 0x20, 0x3D, 0x80, 0xFF, *ALPHABET, raw[position] ^ 1} - {raw[position]}:
            assert signer.unsign(raw[:position] + bytes([byte]) + raw[position + 1 :]) is None


@pytest.mark.parametrize("extra", [b"=", b"\n", b" ", b"A"])
def test_nothing_may_stand_behind_a_signature(extra: bytes) -> None:
    signer = Signer(KEY)

    assert signer.unsign(signer.sign(VALUE).encode() + extra) is None


def test_every_key_verifies_and_the_first_one_signs() -> None:
    old, both, new = Signer("old"), Signer(["new", "old"]), Signer("new")

    assert both.unsign(old.sign(VALUE).encode()) == (VALUE.encode(), False)
    assert both.unsign(new.sign(VALUE).encode()) == (VALUE.encode(), True)
    assert both.sign(VALUE) == new.sign(VALUE)
    assert new.unsign(old.sign(VALUE).encode()) is None


@pytest.mark.parametrize(
    "keys", ["", b"", " \n", [], (), [""], [KEY, ""], [KEY, b" "], "*" * 10, b"***", [KEY, "*"], "\ud800"]
)
def test_an_empty_or_masked_key_is_refused_without_showing_the_others(keys: Any) -> None:
    with pytest.raises(ValueError, match="secret_key") as caught:
        Signer(keys)

    assert KEY not in str(caught.value)
    assert "UnicodeEncodeError" not in "".join(traceback.format_exception(caught.value))  # it would hold the key


@pytest.mark.parametrize(
    "keys", [None, 0, 5, True, [None], [KEY, None], object(), {KEY: 1}, {KEY}, bytearray(b"key"), _Masked(), [[KEY]]]
)
def test_an_object_whose_text_others_can_guess_is_no_key(keys: Any) -> None:
    with pytest.raises(TypeError, match="secret_key must") as caught:
        Signer(keys)

    assert KEY not in str(caught.value)
