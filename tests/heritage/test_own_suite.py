"""The six tests that the original has for itself."""

from __future__ import annotations

from tests.heritage.browser import Browser

from atomic_session import Session


async def _nothing(_session: Session) -> None: ...


async def _read(session: Session) -> dict[str, object]:
    return dict(await session())


async def test_no_cookie_is_set_when_the_session_is_not_used(browser: Browser) -> None:
    assert "set-cookie" not in (await browser.visit(_nothing)).headers


async def test_a_cookie_is_set_when_the_session_is_used(browser: Browser) -> None:
    async def write(session: Session) -> None:
        await session.set("a", 1)

    assert "sid=" in (await browser.visit(write)).headers["set-cookie"]


async def test_set_and_unset_leave_the_session_current(browser: Browser) -> None:
    async def work(session: Session) -> list[dict[str, object]]:
        seen = [dict(await session())]
        await session.set("message", "hello")
        seen.append(dict(session))
        await session.unset("message")
        seen.append(dict(session))
        return seen

    assert await browser.get(work) == [{}, {"message": "hello"}, {}]


async def test_regenerating_changes_the_id(browser: Browser) -> None:
    async def work(session: Session) -> list[str | None]:
        await session.set("a", 1)
        before = session.id
        session = await session.regenerate()
        await session.set("a", 2)
        return [before, session.id]

    before, after = await browser.get(work)
    assert before
    assert after
    assert before != after


async def test_a_csrf_token_of_the_session_is_accepted(browser: Browser) -> None:
    async def work(session: Session) -> None:
        await session.set("a", 1)
        token = session.create_csrf()
        session.assert_csrf(token)

    await browser.get(work)


async def test_the_data_is_found_again_by_the_cookie(browser: Browser) -> None:
    async def write(session: Session) -> None:
        await session.set("message", "hello")

    await browser.get(write)
    assert await browser.get(_read) == {"message": "hello"}
