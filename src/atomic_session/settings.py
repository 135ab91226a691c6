"""What an application may decide about its sessions, checked once when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import clock
from .clock import Clock
from .commands import OwnerLimit
from .cookies import LONGEST_AGE
from .durations import Duration, parse_duration, parse_max_age, parse_optional
from .events import Listener
from .limits import DEFAULT_LIMITS, Limits
from .record import Lifetimes

__all__ = ["Settings", "make_settings"]

_IDLE_OF_BROWSER_SESSIONS = "14 days"
"""How long a record waits for a browser whose cookie ends with it."""

_POLICIES = ("reject", "evict_oldest")


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The settings of one manager, all in the units of the core.

    Attributes:
        lifetimes: idle and absolute time of a session, and how often a read renews it.
        persistent: the cookie outlives the browser; a session's own max_age makes it so too.
        timeout: seconds after which a call to the store has failed.
        limits: what one session may hold.
        owner_limit: how many sessions one owner may have; None for any number.
        clock: what tells the time.
        on_event: what is told of each event, beside the log; None for nobody.
    """

    lifetimes: Lifetimes
    persistent: bool = True
    timeout: float = 5.0
    limits: Limits = DEFAULT_LIMITS
    owner_limit: OwnerLimit | None = None
    clock: Clock = field(default=clock.now)
    on_event: Listener | None = None


def make_settings(
    *,
    max_age: Duration | None = "14 days",
    max_lifetime: Duration | None = None,
    touch_after: Duration | None = None,
    timeout: Duration = 5,
    limits: Limits = DEFAULT_LIMITS,
    max_sessions_per_owner: int | None = None,
    on_session_limit: str = "reject",
    clock: Clock = clock.now,
    on_event: Listener | None = None,
) -> Settings:
    """
    Check what a user wrote and return the settings that it means.

    Raises:
        ValueError: a duration, a number or a policy is nonsense; the message names it.
        TypeError: it is of no type that could say such a thing.
    """
    idle = parse_max_age(_IDLE_OF_BROWSER_SESSIONS if max_age is None else max_age)
    lifetimes = Lifetimes(
        idle, parse_optional(max_lifetime, "max_lifetime"), parse_optional(touch_after, "touch_after")
    )
    if lifetimes.touch_after is not None and lifetimes.touch_after >= idle:
        raise ValueError("touch_after must be shorter than max_age, or sessions in use would end")
    if lifetimes.touch_after is not None and lifetimes.touch_after >= LONGEST_AGE * 1000:
        raise ValueError(
            "touch_after must be shorter than 400 days, or browsers would forget the cookie of a session in use"
        )
    if not isinstance(limits, Limits):
        raise TypeError(f"limits must be a Limits, not {type(limits).__name__}")
    _check_callable("clock", clock)
    if on_event is not None:
        _check_callable("on_event", on_event)
    return Settings(
        lifetimes=lifetimes,
        persistent=max_age is not None,
        timeout=parse_duration(timeout, "timeout") / 1000,
        limits=limits,
        owner_limit=_owner_limit(max_sessions_per_owner, on_session_limit),
        clock=clock,
        on_event=on_event,
    )


def _check_callable(name: str, value: object) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be callable, not {type(value).__name__}")


def _owner_limit(maximum: int | None, policy: str) -> OwnerLimit | None:
    if policy not in _POLICIES:
        raise ValueError(f"on_session_limit must be one of {_POLICIES}, not {policy!r}")
    if maximum is None:
        return None
    if type(maximum) is not int or maximum < 1:
        raise ValueError(f"max_sessions_per_owner must be a positive whole number, not {maximum!r}")
    return OwnerLimit(maximum, policy == "evict_oldest")
