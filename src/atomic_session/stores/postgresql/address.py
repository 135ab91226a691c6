"""What a URL says: where the records are, and how to get there.  Pure."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

__all__ = ["WRITABLE", "Address", "address_of"]

WRITABLE = "read-write"
"""What a server must be, in the driver's words, unless the URL says otherwise."""

_DEFAULT_SCHEMA = "atomic_session"
_DEFAULT_SIZE = 4
_LARGEST_PORT = 65_535
_FOR_US = ("schema", "pool_size", "statement_cache_size", "target_session_attrs")
_FIT = (WRITABLE, "primary", "any")


class Address(Struct, frozen=True):
    """
    Where the records are.

    Attributes:
        dsns: what the driver connects to: one for each host of the URL, of which the first fit one is used.
        target: what a server must be: the driver's `target_session_attrs`.
        schema: the schema that the tables are in.
        size: how many connections each event loop may have.
        cached: whether prepared statements outlive a transaction; behind a pooler that lends a server for one
            transaction only they do not.
    """

    dsns: tuple[str, ...]
    target: str
    schema: str
    size: int
    cached: bool


def address_of(url: str) -> Address:
    """
    Take *url* apart.

    Raises:
        ValueError: an option of ours is nonsense.
    """
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    for host in hosts.split(","):
        _check_port(host)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    ours = {name: value for name, value in pairs if name in _FOR_US}
    rest = urlencode([pair for pair in pairs if pair[0] not in _FOR_US])
    apart = [hosts] if "port" in dict(pairs) else hosts.split(",")  # such a list of ports belongs to all hosts
    dsns = tuple(urlunsplit(parts._replace(netloc=f"{account}{at}{host}", query=rest)) for host in apart)
    schema = ours.get("schema", _DEFAULT_SCHEMA)
    size = ours.get("pool_size", str(_DEFAULT_SIZE))
    cache = ours.get("statement_cache_size", "100")
    target = ours.get("target_session_attrs", WRITABLE)
    if not size.isdecimal() or not int(size):
        raise ValueError(f"pool_size must be a positive whole number, not {size!r}")
    if not cache.isdecimal():
        raise ValueError(f"statement_cache_size must be a whole number, not {cache!r}")
    if target not in _FIT:
        raise ValueError(f"target_session_attrs must be one of {', '.join(_FIT)}, not {target!r}")
    return Address(dsns, target, schema, int(size), cached=int(cache) > 0)


def _check_port(host: str) -> None:
    """Refuse what the driver would take for a port, and show in its error: it may be half of a password."""
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not (port.isdecimal() and int(port) <= _LARGEST_PORT):
        raise ValueError(
            "a port in the URL must be a number up to 65535; in a password '/', '?' and '#' are %2F, %3F and %23"
        )
