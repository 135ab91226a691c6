"""
What a real browser sends, and what comes of it: a site, and another one that wants to use its visitors.

Where no browser is installed the tests say so and are skipped; with ATOMIC_SESSION_REQUIRE_BROWSER=1 they fail.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI
from jinja2 import DictLoader, Environment
from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from tests.security.browser_site import application, certificate, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
]

SEND_FORM = """async ([url, fields]) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = url;
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement('input');
        input.name = name;
        input.value = value;
        form.append(input);
    }
    document.body.append(form);
    form.submit();
}"""
FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, {credentials: 'include', ...options});
        return answer.type === 'opaque' ? 'opaque' : answer.status;
    } catch (error) {
        return 'blocked';
    }
}"""
SOCKET = """url => new Promise(done => {
    const socket = new WebSocket(url);
    socket.onmessage = event => done(event.data);
    socket.onerror = () => done('refused');
})"""


@pytest.fixture(scope="module")
def executable() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is not None:
        return found
    complaint = f"no browser here ({', '.join(BROWSERS)}): what browsers send was not tried"
    if os.environ.get("ATOMIC_SESSION_REQUIRE_BROWSER") == "1":
        pytest.fail(complaint)
    pytest.skip(complaint)


@dataclass(frozen=True)
class Sites:
    """The same server under names that a browser takes for one site, for its sibling, and for a stranger."""

    own: str
    sibling: str
    foreign: str
    socket: str


def _sites(port: int, scheme: str) -> Sites:
    socket = f"{scheme.replace('http', 'ws')}://shop.localhost:{port}/socket"
    return Sites(
        f"{scheme}://shop.localhost:{port}",
        f"{scheme}://shop.localhost:{port}".replace("shop", "blog"),
        f"{scheme}://127.0.0.1:{port}",
        socket,
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def sites(executable: str, tls: tuple[Path, Path]) -> Iterator[Sites]:
    """With `SameSite=None`, so that the browser holds no cookie back: whatever is refused, we refuse."""
    with serve(application("memory://", mode="auto", same_site="none"), tls) as port:
        yield _sites(port, "https")


@pytest.fixture(scope="module")
def strict(executable: str, tls: tuple[Path, Path]) -> Iterator[Sites]:
    """The same in the mode that wants a token of everybody."""
    with serve(application("memory://", mode="strict", same_site="none"), tls) as port:
        yield _sites(port, "https")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def playwright(executable: str) -> AsyncIterator[Playwright]:
    async with async_playwright() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(playwright: Playwright, executable: str) -> AsyncIterator[Browser]:
    opened = await playwright.chromium.launch(executable_path=executable, headless=True, args=QUIET)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    opened = await browser.new_context(ignore_https_errors=True)
    yield opened
    await opened.close()


async def _token(page: Page, site: str) -> str:
    await page.goto(f"{site}/form")
    return await page.locator("input[name=_csrf]").input_value()


async def _victim(context: BrowserContext, sites: Sites) -> tuple[Page, str]:
    """Return a page of somebody who is logged in, and a token of theirs."""
    page = await context.new_page()
    made = await _token(page, sites.own)
    assert await page.evaluate(FETCH, ["/login", {"method": "POST", "headers": {"X-CSRF-Token": made}}]) == 200
    return page, await _token(page, sites.own)


async def _who(context: BrowserContext, sites: Sites) -> dict[str, Any]:
    page = await context.new_page()
    await page.goto(f"{sites.own}/who")
    found: dict[str, Any] = await page.evaluate("JSON.parse(document.body.innerText)")
    await page.close()
    return found


async def _submit(page: Page, url: str, fields: dict[str, str]) -> int:
    """Send a form, and return the status of the page that comes."""
    async with page.expect_navigation() as caught:
        await page.evaluate(SEND_FORM, [url, fields])
    return (await caught.value).status


async def test_a_form_of_the_same_site_comes_in(context: BrowserContext, sites: Sites) -> None:
    page, _ = await _victim(context, sites)
    async with page.expect_response(f"{sites.own}/post") as caught:
        await page.get_by_role("button").click()

    assert (await caught.value).status == 200
    assert await _who(context, sites) == {"owner": "ada", "posts": 1}


@pytest.mark.parametrize("attacker", ["foreign", "sibling"])
async def test_a_form_of_another_site_is_refused_even_with_a_token(
    context: BrowserContext, sites: Sites, attacker: str
) -> None:
    _, made = await _victim(context, sites)
    page = await context.new_page()
    for fields in ({}, {"_csrf": made}):
        await page.goto(getattr(sites, attacker))
        assert await _submit(page, f"{sites.own}/post", fields) == 403

    assert await _who(context, sites) == {"owner": "ada", "posts": 0}


async def test_a_login_that_another_site_forges_is_refused(context: BrowserContext, sites: Sites) -> None:
    page = await context.new_page()
    await page.goto(sites.foreign)

    assert await _submit(page, f"{sites.own}/login", {}) == 403
    assert (await _who(context, sites))["owner"] is None


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"method": "POST"}, 403),
        ({"method": "POST", "headers": {"X-CSRF-Token": "token"}}, 403),
        ({"method": "POST", "headers": {"Content-Type": "application/json"}, "body": "{}"}, 403),
        ({"method": "DELETE"}, 403),
        ({"method": "POST", "mode": "no-cors"}, "opaque"),
        ({"method": "POST", "mode": "no-cors", "headers": {"Content-Type": "text/plain"}, "body": "x"}, "opaque"),
    ],
)
@pytest.mark.parametrize("attacker", ["foreign", "sibling"])
async def test_a_script_of_another_site_changes_nothing(
    context: BrowserContext, sites: Sites, options: dict[str, Any], seen: object, attacker: str
) -> None:
    """CORS lets everybody through there, so that it is our refusal that the browser gets, and we see it either way."""
    _, made = await _victim(context, sites)
    if "X-CSRF-Token" in options.get("headers", {}):
        options = {**options, "headers": {"X-CSRF-Token": made}}
    page = await context.new_page()
    await page.goto(getattr(sites, attacker))
    async with page.expect_response(
        lambda response: response.url == f"{sites.own}/post" and response.request.method != "OPTIONS"
    ) as caught:
        assert await page.evaluate(FETCH, [f"{sites.own}/post", options]) == seen

    assert (await caught.value).status == 403
    assert await _who(context, sites) == {"owner": "ada", "posts": 0}


async def test_a_script_of_the_same_site_comes_in(context: BrowserContext, sites: Sites) -> None:
    page, made = await _victim(context, sites)
    options = {"method": "POST", "headers": {"X-CSRF-Token": made}}

    assert await page.evaluate(FETCH, ["/post", options]) == 200


async def test_a_frame_of_another_site_sends_nothing_in(context: BrowserContext, sites: Sites) -> None:
    _, made = await _victim(context, sites)
    page = await context.new_page()
    await page.goto(sites.own)
    for frame_of in (sites.foreign, "data:text/html,<body></body>", "sandboxed"):
        markup = f'<iframe src="{frame_of}"></iframe>'
        if frame_of == "sandboxed":
            markup = f'<iframe sandbox="allow-scripts allow-forms" src="{sites.own}/"></iframe>'
        await page.set_content(markup)
        handle = await page.locator("iframe").element_handle()
        frame = await handle.content_frame()
        assert frame is not None
        await frame.wait_for_load_state()
        async with page.expect_response(lambda response: response.request.method == "POST") as caught:
            await frame.evaluate(SEND_FORM, [f"{sites.own}/post", {"_csrf": made}])
        assert (await caught.value).status == 403

    assert await _who(context, sites) == {"owner": "ada", "posts": 0}


async def test_a_websocket_of_another_site_is_refused(context: BrowserContext, sites: Sites) -> None:
    page, _ = await _victim(context, sites)
    assert await page.evaluate(SOCKET, sites.socket) == '{"owner":"ada"}'
    for other in (sites.foreign, sites.sibling):
        await page.goto(other)
        assert await page.evaluate(SOCKET, sites.socket) == "refused"


async def test_a_logout_deletes_the_cookie_under_its_prefix(context: BrowserContext, sites: Sites) -> None:
    page, made = await _victim(context, sites)
    before = await context.cookies(sites.own)
    assert await page.evaluate(FETCH, ["/logout", {"method": "POST", "headers": {"X-CSRF-Token": made}}]) == 200

    assert [cookie["name"] for cookie in before] == ["__Host-sid"]
    assert before[0]["secure"]
    assert before[0]["httpOnly"]
    assert await context.cookies(sites.own) == []
    assert (await _who(context, sites))["owner"] is None


async def test_a_script_neither_sees_nor_sets_the_cookie(context: BrowserContext, sites: Sites) -> None:
    page, _ = await _victim(context, sites)
    before = await context.cookies(sites.own)
    await page.evaluate("document.cookie = '__Host-sid=planted; Secure; Path=/'")
    sibling = await context.new_page()
    await sibling.goto(sites.sibling)
    await sibling.evaluate("document.cookie = '__Host-sid=planted; Secure; Path=/; Domain=localhost'")

    assert await page.evaluate("document.cookie") == ""
    assert await context.cookies(sites.own) == before


async def _send(tab: Page, site: str) -> int:
    """Send the form that is open in *tab*, and return the status."""
    async with tab.expect_response(f"{site}/post") as caught:
        await tab.get_by_role("button").click()
    return (await caught.value).status


async def test_the_forms_of_two_tabs_both_come_in(context: BrowserContext, strict: Sites) -> None:
    await _victim(context, strict)
    first, second = await context.new_page(), await context.new_page()
    for tab in (first, second):
        await tab.goto(f"{strict.own}/form")

    assert [await _send(first, strict.own), await _send(second, strict.own)] == [200, 200]
    assert await _who(context, strict) == {"owner": "ada", "posts": 2}


async def test_the_first_write_of_a_visitor_outdates_the_other_tab_until_it_is_loaded_again(
    context: BrowserContext, strict: Sites
) -> None:
    first, second = await context.new_page(), await context.new_page()
    for tab in (first, second):
        await tab.goto(f"{strict.own}/form")
    assert [await _send(first, strict.own), await _send(second, strict.own)] == [200, 403]
    await second.goto(f"{strict.own}/form")

    assert await _send(second, strict.own) == 200
    assert (await _who(context, strict))["posts"] == 2


async def test_the_cookie_is_kept_when_the_browser_is_started_again(
    playwright: Playwright, executable: str, sites: Sites, tmp_path: Path
) -> None:
    for start in range(2):
        context = await playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=executable, headless=True, args=QUIET, ignore_https_errors=True
        )
        if start == 0:
            await _victim(context, sites)
        assert (await _who(context, sites))["owner"] == "ada"
        await context.close()


async def test_over_http_in_strict_mode_forms_come_in_and_strangers_do_not(context: BrowserContext) -> None:
    with serve(application("memory://", mode="strict")) as port:
        sites = _sites(port, "http")
        page, made = await _victim(context, sites)
        async with page.expect_response(f"{sites.own}/post") as caught:
            await page.get_by_role("button").click()
        assert (await caught.value).status == 200
        assert await page.evaluate(FETCH, ["/post", {"method": "POST"}]) == 403
        assert await page.evaluate(FETCH, ["/post", {"method": "POST", "headers": {"X-CSRF-Token": made}}]) == 200
        await page.goto(sites.foreign)
        assert await _submit(page, f"{sites.own}/post", {"_csrf": made}) == 403
        assert await _who(context, sites) == {"owner": "ada", "posts": 2}
        assert [cookie["name"] for cookie in await context.cookies(sites.own)] == ["sid"]


# --- the examples of the documentation


def _documented(language: str) -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "csrf.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _htmx(version: int) -> str:
    (found,) = (file for file in files("django-htmx") or () if file.name == f"htmx-{version}.min.js")
    return Path(str(found.locate())).read_text("utf-8")


def _documented_shop(version: int) -> Starlette:
    """The application of docs/csrf.md; its cart says whether the token that came is one of this session's."""
    (markup,) = _documented("html")
    if version == 4:
        markup = markup.replace("hx-headers=", "hx-headers:inherited=")
    templates = Jinja2Templates(env=Environment(loader=DictLoader({"page.html": markup}), autoescape=True))

    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html")

    async def script(request: Request) -> Response:
        return Response(_htmx(version), media_type="text/javascript")

    async def cart(request: Request) -> Response:
        given = request.headers.get("x-csrf-token")
        if given is None:
            async with request.form() as form:
                given = str(form.get("_csrf"))
        request.scope["session"].assert_csrf(given)
        return PlainTextResponse("taken")

    app = Starlette(routes=[Route("/", page), Route("/htmx.js", script), Route("/cart", cart, methods=["POST"])])
    names = {"app": app, "api": FastAPI(), "templates": templates}
    for block in _documented("python"):
        exec(
            compile(block.replace("sqlite:///sessions.db", "memory://"), "docs/csrf.md", "exec", dont_inherit=True),
            names,
        )
    return app


@pytest.mark.parametrize("version", [2, 4])
async def test_the_examples_of_the_documentation_send_the_token(context: BrowserContext, version: int) -> None:
    with serve(_documented_shop(version)) as port:
        site = f"http://shop.localhost:{port}"
        page = await context.new_page()
        answers: list[tuple[str, int]] = []
        page.on("response", lambda response: answers.append((response.request.method, response.status)))
        await page.goto(site)
        (script,) = _documented("js")
        assert await page.evaluate(f"async () => {{ {script} return answer.status; }}") == 200
        async with page.expect_response(f"{site}/cart") as caught:
            await page.get_by_role("button", name="Send with htmx").click()
        assert (await caught.value).status == 200
        await page.goto(site)
        async with page.expect_navigation():
            await page.get_by_role("button", name="Send the form").click()
        assert await page.inner_text("body") == "taken"

    assert [status for method, status in answers if method == "POST"] == [200, 200, 200]
