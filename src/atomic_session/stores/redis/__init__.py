"""The Redis store: a hash per session, one script per command."""

from importlib.util import find_spec

if find_spec("redis") is None or find_spec("hiredis") is None:
    raise ImportError("the Redis store needs redis-py and hiredis: pip install 'atomic-session[redis]'")

from .store import RedisStore

__all__ = ["RedisStore"]
