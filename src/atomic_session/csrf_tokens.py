"""What a session does against forged requests: it makes CSRF tokens, and checks them."""

from __future__ import annotations

from abc import abstractmethod

from .csrf import is_csrf, make_csrf
from .errors import CSRFError
from .events import emit
from .exchange import Exchange

__all__ = ["CSRFTokens"]


class CSRFTokens:
    """
    CSRF tokens, without a trip to the store.

    A token is bound to the cookie that the browser holds once it has the response.  It dies when
    that cookie is replaced: by `rotate`, `login`, `regenerate` and `destroy`, and when the first
    write finds that the cookie opens no session.  So make it after these.
    """

    __slots__ = ()

    _exchange: Exchange | None
    _secure: bool

    @abstractmethod
    def _look(self) -> Exchange:
        """Read the cookie, once."""

    @property
    @abstractmethod
    def modified(self) -> bool:
        """Whether there is something to commit."""

    def create_csrf(self, purpose: str = "") -> str:
        """
        Make a CSRF token for a page: 64 characters, safe in HTML, each time others.

        A visitor without a session gets a cookie with it, and no record: the first write draws
        another token, as for any cookie that opens nothing.  The response must not be stored by
        caches, and says so.

        Raises:
            ValueError: *purpose* is longer than 65,535 bytes of UTF-8, or has no UTF-8 form.
            ResponseStarted: there is no cookie yet, and none can be sent any more.
        """
        link = self._look().link
        return make_csrf(link.hand_out(renew=link.token is None and self.modified), purpose)

    def check_csrf(self, token: object, purpose: str = "") -> bool:
        """
        Tell whether *token* was made for this session and this purpose; anything at all may be asked about.

        It is no proof that the session exists: no store was asked.

        Raises:
            ValueError: *purpose* is longer than 65,535 bytes of UTF-8, or has no UTF-8 form.
        """
        held = self._look().link.held
        return held is not None and is_csrf(token, held, purpose)

    def assert_csrf(self, token: object, purpose: str = "") -> None:
        """
        Pass only with a token that was made for this session and this purpose.

        Raises:
            CSRFError: it is another one, or none.
            ValueError: *purpose* is longer than 65,535 bytes of UTF-8, or has no UTF-8 form.
        """
        if not self.check_csrf(token, purpose):
            held = self._look().link.held
            emit("csrf_failed", None if held is None else held.id, reason="token_wrong")
            raise CSRFError("the token is missing, or was made for another session or purpose")

    # What the middlewares ask.

    @property
    def secure(self) -> bool:
        """Whether the session's cookie is a `Secure` one here."""
        return self._secure

    @property
    def cookie_came(self) -> bool:
        """Whether the request has a cookie of our name, whatever is in it."""
        return self._look().link.cookie_came

    @property
    def has_shared(self) -> bool:
        """Whether the response may hold a CSRF token, so that no cache may store it."""
        exchange = self._exchange
        return exchange is not None and exchange.link.shared
