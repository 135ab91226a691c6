"""What the operator is told, and what the operator is never told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import atomic_session
from atomic_session.events import EVENTS, emit
from atomic_session.token import new_token

LOGGER = "atomic_session"


@pytest.fixture(autouse=True)
def _everything_is_heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, LOGGER):
        yield


def _only(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    (record,) = caplog.records
    return record


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_one_record_of_its_own_level(event: str, caplog: pytest.LogCaptureFixture) -> None:
    session_id = new_token().id
    emit(event, session_id)
    record = _only(caplog)

    assert (record.name, record.levelno) == (LOGGER, EVENTS[event])
    assert record.getMessage() == f"{event} session={session_id}"
    assert (vars(record)["event"], vars(record)["session_id"]) == (event, session_id)


def test_an_event_of_no_session_says_so(caplog: pytest.LogCaptureFixture) -> None:
    emit("malformed_cookie")
    record = _only(caplog)

    assert record.getMessage() == "malformed_cookie"
    assert vars(record)["session_id"] is None


def test_facts_are_in_the_message_and_beside_it_under_any_name(caplog: pytest.LogCaptureFixture) -> None:
    emit("delta_dropped", None, name="x", message="y", args=(1,), operators=3)
    record = _only(caplog)

    assert vars(record)["facts"] == {"name": "x", "message": "y", "args": (1,), "operators": 3}
    assert record.getMessage() == "delta_dropped name='x' message='y' args=(1,) operators=3"


def test_a_record_points_to_whoever_emitted_it(caplog: pytest.LogCaptureFixture) -> None:
    emit("session_created")

    assert _only(caplog).funcName == "test_a_record_points_to_whoever_emitted_it"


@pytest.mark.parametrize("event", ["", "session_creatd", "Session_Created", "debug"])
@pytest.mark.parametrize("level", [logging.DEBUG, logging.CRITICAL])
def test_a_misspelt_event_is_an_error_whether_anyone_listens_or_not(
    event: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(level, LOGGER), pytest.raises(ValueError, match="unknown event"):
        emit(event)


def test_nothing_is_logged_below_the_loggers_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, LOGGER):
        emit("session_created")
        emit("store_unavailable")

    assert vars(_only(caplog))["event"] == "store_unavailable"


def test_a_whole_token_in_place_of_the_id_is_refused_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    token = new_token()
    with pytest.raises(ValueError, match="public id") as caught:
        emit("session_created", token.value)

    assert token.value not in str(caught.value)
    assert caplog.records == []


def test_a_token_among_the_facts_does_not_show_its_secret(caplog: pytest.LogCaptureFixture) -> None:
    token = new_token()
    emit("session_created", token.id, token=token)
    record = _only(caplog)

    assert token.value[23:] not in f"{record.getMessage()} {vars(record)!r}"


@pytest.mark.parametrize("problem", ["malformed", "duplicate", "forged", "oversized"])
def test_every_problem_of_a_cookie_has_an_event(problem: str) -> None:
    assert f"{problem}_cookie" in EVENTS


@pytest.mark.parametrize("event", [event for event in EVENTS if not event.endswith("_cookie")])
def test_every_event_in_the_table_is_told_by_somebody(event: str) -> None:
    modules = Path(atomic_session.__file__).parent.rglob("*.py")

    assert any(f'"{event}"' in module.read_text() for module in modules if module.name != "events.py")


def test_the_table_of_events_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        EVENTS["another"] = logging.INFO  # type: ignore[index]
