"""The service's address: parsed when a client is constructed, and redacted for error messages."""

import httpx

from service.client.errors import NotSent


def parse_base_url(base_url: str) -> httpx.URL:
    """Return `base_url` as an absolute HTTP URL.

    Raises NotSent if it is not one. The message does not quote `base_url`, because it may hold a
    password.
    """
    try:
        url = httpx.URL(base_url)
        host = url.host
        url.raw_host.decode().encode("idna")  # resolving the name does the same
    except (httpx.InvalidURL, UnicodeError) as error:
        raise NotSent("base_url is not a valid URL; use one such as http://host:8000") from error
    if url.scheme not in ("http", "https") or not host:
        raise NotSent("base_url lacks http:// or a host; use one such as http://host:8000")
    return url


def redact_url(url: httpx.URL, path: str = "") -> str:
    """Return `url` and `path` without user, password and query, because those may be secrets."""
    bare = url.copy_with(username="", password="", query=None, fragment=None)
    return f"{bare}".rstrip("/") + path
