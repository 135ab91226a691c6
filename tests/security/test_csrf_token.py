"""The CSRF token: what it is made of, and that nothing else passes for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from string import ascii_letters, digits
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_session.csrf import is_csrf, make_csrf
from atomic_session.token import Token, new_token, renew_token

ALPHABET = ascii_letters + digits + "-_"
TOKEN = new_token()


def _made_by_the_book(token: Token, purpose: bytes, salt: bytes) -> str:
    key = hmac.new(token.value.encode(), b"atomic-session/csrf/v1", hashlib.sha256).digest()
    tag = hmac.new(key, bytes(divmod(len(purpose), 256)) + purpose + salt, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(salt + tag).decode()


@given(
    purpose=st.text(st.characters(exclude_categories=["Cs"]), max_size=300), salt=st.binary(min_size=16, max_size=16)
)
def test_a_token_made_by_the_published_algorithm_is_one_of_ours(purpose: str, salt: bytes) -> None:
    assert is_csrf(_made_by_the_book(TOKEN, purpose.encode(), salt), TOKEN, purpose)


@given(purpose=st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_token_is_64_characters_that_need_no_escaping_and_follows_the_algorithm(purpose: str) -> None:
    made = make_csrf(TOKEN, purpose)

    assert len(made) == 64
    assert set(made) <= set(ALPHABET)
    assert made == _made_by_the_book(TOKEN, purpose.encode(), base64.urlsafe_b64decode(made)[:16])


def test_every_token_is_another_one() -> None:
    assert len({make_csrf(TOKEN) for _ in range(100_000)}) == 100_000


def test_no_change_of_one_character_leaves_a_valid_token() -> None:
    made = make_csrf(TOKEN)
    changed = [
        made[:place] + letter + made[place + 1 :] for place in range(64) for letter in ALPHABET if letter != made[place]
    ]

    assert len(changed) == 64 * 63
    assert not any(is_csrf(text, TOKEN) for text in changed)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made[:-1],
        lambda made: made + "A",
        lambda made: made + "=",
        lambda made: made + "\n",
        lambda made: " " + made,
        lambda made: made.encode(),
        lambda made: [made],
        lambda made: {"token": made},
        lambda made: None,
        lambda made: True,
        lambda made: 0,
        lambda made: "",
        lambda made: made.replace(made[0], chr(ord(made[0]) + 0xFEE0), 1),  # the full-width form
        lambda made: made[:-1] + "\ud800",
        lambda made: made[:-1] + "\0",
    ],
)
def test_what_is_not_exactly_the_token_is_refused_and_never_an_error(spoil: Any) -> None:
    assert is_csrf(spoil(make_csrf(TOKEN)), TOKEN) is False


@given(given=st.one_of(st.text(), st.text(ALPHABET, min_size=64, max_size=64), st.binary(), st.none(), st.integers()))
def test_nothing_that_was_not_made_verifies(given: object) -> None:
    assert is_csrf(given, TOKEN) is False


@given(
    made_for=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    asked_for=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_a_token_is_for_its_purpose_only(made_for: str, asked_for: str) -> None:
    assert is_csrf(make_csrf(TOKEN, made_for), TOKEN, asked_for) is (made_for == asked_for)


def test_a_purpose_and_the_salt_behind_it_cannot_be_read_another_way() -> None:
    salt = bytes(16)
    shifted = _made_by_the_book(TOKEN, b"a", salt)

    assert is_csrf(shifted, TOKEN, "a")
    assert not is_csrf(shifted, TOKEN, "a\0")


def test_a_token_dies_with_the_secret_and_is_for_its_session_only() -> None:
    made = make_csrf(TOKEN)

    assert is_csrf(made, TOKEN)
    assert not is_csrf(made, renew_token(TOKEN.id))
    assert not is_csrf(made, new_token())


@pytest.mark.parametrize("purpose", ["x" * 65_536, "\u00e9" * 32_768, "\ud800"])
def test_a_purpose_that_cannot_be_bound_is_refused(purpose: str) -> None:
    with pytest.raises(ValueError, match=r"purpose|surrogates"):
        make_csrf(TOKEN, purpose)


def test_the_longest_purpose_works() -> None:
    assert is_csrf(make_csrf(TOKEN, "x" * 65_535), TOKEN, "x" * 65_535)


def test_the_token_holds_nothing_of_the_cookie() -> None:
    made = make_csrf(TOKEN)

    assert not any(TOKEN.value[place : place + 8] in made for place in range(len(TOKEN.value) - 7))
