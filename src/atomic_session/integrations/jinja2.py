"""CSRF tokens in Jinja2 templates: a hidden field for forms, a meta tag for scripts."""

from __future__ import annotations

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from ..session import Session

__all__ = ["install"]


def install(environment: Environment) -> None:
    """
    Give every template `csrf_token()`, `csrf_field()` and `csrf_meta()`; each takes a purpose.

    The context must hold the `request`, as that of Starlette's `Jinja2Templates` does.  A token
    is made where a template asks for one, and only then.
    """
    environment.globals.update(csrf_token=_token, csrf_field=_field, csrf_meta=_meta)


@pass_context
def _token(context: Context, purpose: str = "") -> str:
    return _session(context).create_csrf(purpose)


@pass_context
def _field(context: Context, purpose: str = "", name: str = "_csrf") -> Markup:
    """Return the hidden field; in a form with files it goes before them."""
    token = _session(context).create_csrf(purpose)
    return Markup('<input type="hidden" name="{}" value="{}">').format(name, token)


@pass_context
def _meta(context: Context, purpose: str = "", name: str = "csrf-token") -> Markup:
    """Return the tag from which a script takes what it sends as `X-CSRF-Token`."""
    token = _session(context).create_csrf(purpose)
    return Markup('<meta name="{}" content="{}">').format(name, token)


def _session(context: Context) -> Session:
    request = context.get("request")
    session = None if request is None else request.scope.get("session")
    if not isinstance(session, Session):
        raise RuntimeError("a CSRF token needs the `request` in the template's context, and SessionMiddleware")
    return session
