"""Records in a MongoDB collection: one document each, for any number of machines."""

from .store import MongoStore

__all__ = ["MongoStore"]
