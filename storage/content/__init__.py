"""The content store: originals, encrypted per tenant, in a folder or a bucket."""

from storage.content.store import open_content_store

__all__ = ["open_content_store"]
