"""A CSRF token as a FastAPI dependency, for routes that want one whatever the middleware decided."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.requests import Request

from ..errors import CSRFError
from ..session import Session

__all__ = ["CSRFToken"]

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class CSRFToken:
    """
    Let a request in with a valid token only: `dependencies=[Depends(CSRFToken())]`.

    The token is taken from the header, or where there is none from the form field; the route's
    own `Form` parameters stay readable.

    Args:
        purpose: what the token was made for.
        header_name: the header that a token may be in; if it is there, only it is judged.
        field: the form field that a token may be in.

    Raises:
        CSRFError: when called, without a valid token; answered 403.
    """

    def __init__(self, purpose: str = "", *, header_name: str = "X-CSRF-Token", field: str = "_csrf") -> None:
        self._purpose = purpose
        self._header_name = header_name
        self._field = field

    async def __call__(self, request: Request) -> None:
        session = request.scope.get("session")
        if not isinstance(session, Session):
            raise RuntimeError("a CSRF token needs SessionMiddleware")
        given = request.headers.getlist(self._header_name)
        if not given:
            form = await _form(request)
            given = [value for value in form.getlist(self._field)[:1] if isinstance(value, str)]
        if len(given) > 1:
            raise CSRFError("the token's header came more than once")
        session.assert_csrf(given[0] if given else None, self._purpose)


async def _form(request: Request) -> FormData:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await request.form() if kind in _FORMS else FormData()
