"""Where a service is: its address, checked when a client is made, and as errors may show it."""

import httpx

from service.client.errors import NotSent


def checked(base_url: str) -> httpx.URL:
    """Raises NotSent for what is no address of HTTP."""
    try:
        url = httpx.URL(base_url)
        host = url.host
        url.raw_host.decode().encode("idna")  # as resolving it will
    except (httpx.InvalidURL, UnicodeError) as error:
        # httpx quotes parts of the address, which may be a password.
        raise NotSent("base_url is not a valid address: give one like http://host:8000") from error
    if url.scheme not in ("http", "https") or not host:
        raise NotSent("base_url has no http:// or no host: give one like http://host:8000")
    return url


def shown(url: httpx.URL, path: str = "") -> str:
    """The address without user, password and query, which may be secrets."""
    bare = url.copy_with(username="", password="", query=None, fragment=None)
    return f"{bare}".rstrip("/") + path
