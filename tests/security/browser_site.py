"""The site that the browser tests visit: one application, served under several names, with and without TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from atomic_session import CSRFMiddleware, Session, SessionMiddleware

__all__ = ["application", "certificate", "serve"]


def _session(connection: HTTPConnection) -> Session:
    session = connection.scope["session"]
    assert isinstance(session, Session)
    return session


async def _page(request: Request) -> Response:
    """A page with nothing on it, from which tests send what they like."""
    return HTMLResponse("<!doctype html><title>page</title><body></body>")


async def _form(request: Request) -> Response:
    made = _session(request).create_csrf()
    return HTMLResponse(
        "<!doctype html><title>form</title>"
        f'<form method="post" action="/post"><input name="_csrf" value="{made}"><button>send</button></form>'
    )


async def _post(request: Request) -> Response:
    session = await _session(request)()
    session["posts"] = session.get("posts", 0) + 1
    return JSONResponse({"posts": session["posts"]})


async def _login(request: Request) -> Response:
    await _session(request).login("ada")
    await _session(request).touch("30 days")
    return JSONResponse({"owner": "ada"})


async def _who(request: Request) -> Response:
    session = await _session(request)()
    return JSONResponse({"owner": session.owner, "posts": session.get("posts", 0)})


async def _logout(request: Request) -> Response:
    await _session(request).destroy()
    return JSONResponse({})


async def _socket(websocket: WebSocket) -> None:
    session = await _session(websocket)()
    await websocket.accept()
    await websocket.send_json({"owner": session.owner})
    await websocket.close()


def application(store: str, *, mode: str, same_site: str = "lax") -> Starlette:
    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/form", _form),
            Route("/post", _post, methods=["POST", "DELETE"]),
            Route("/login", _login, methods=["POST"]),
            Route("/logout", _logout, methods=["POST"]),
            Route("/who", _who),
            WebSocketRoute("/socket", _socket),
        ]
    )
    app.add_middleware(CSRFMiddleware, mode=mode)  # type: ignore[arg-type]
    app.add_middleware(SessionMiddleware, store=store, same_site=same_site)
    # Careless on purpose: cross-origin reads are allowed, so that only our check stands in the way.
    careless = {"allow_methods": ["*"], "allow_headers": ["*"], "allow_credentials": True}
    app.add_middleware(CORSMiddleware, allow_origin_regex=".*", **careless)  # type: ignore[arg-type]
    return app


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for loopback, signed by nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.DNSName("*.localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kind, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, no_password))
    return pem, private


@contextmanager
def serve(app: Starlette, tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Serve *app* on a free port of loopback, in a thread; return the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    pem, key = tls or (None, None)
    config = uvicorn.Config(app, log_level="error", ssl_certfile=pem, ssl_keyfile=key, ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
