"""Addresses to listen on: a name or number and a port → a bound socket and the URL to show."""

import socket

from service.errors import StartError

# libuv, the event loop under uvloop, accepts one connection of a socket in each turn. A busy loop
# turns 20 times a second, and connections beyond that would be lost in the kernel.
ACCEPTS_PER_TURN = 32
# A client cannot ask for "any address"; each stands for the loopback of its family.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # compared, not bound


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound but does not listen yet.

    Raises StartError for an address that is taken, unknown or another machine's, or whose family
    this machine does not have.
    """
    host = bare(host)
    shown = f"{bracketed(host)}:{port}"
    try:
        found = socket.getaddrinfo(
            host or "0.0.0.0",  # the empty name means all addresses
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "this is not the name of a host"
        raise StartError(f"cannot listen on {shown}: {reason}") from None
    # IPv4 first, where a name has both: `localhost` is 127.0.0.1, as it ever was.
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener: socket.socket | None = None
    try:
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise StartError(f"cannot listen on {shown}: {error.strerror}") from None
    return listener


def copies(listener: socket.socket) -> list[socket.socket]:
    """Return the socket and duplicates of it, so that an event loop that accepts one connection of
    each in a turn accepts 32.
    """
    return [listener, *(listener.dup() for _ in range(ACCEPTS_PER_TURN - 1))]


def url(listener: socket.socket) -> str:
    """Return the address that the socket has, such as `http://[::1]:8000`."""
    host, port = listener.getsockname()[:2]
    return f"http://{bracketed(host)}:{port}"


def url_to_ask(listener: socket.socket) -> str:
    """Return an address at which a client of this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{bracketed(LOOPBACK.get(host, host))}:{port}"


def bare(host: str) -> str:
    """Return a host without the spaces around it and without the brackets of URLs."""
    host = host.strip()
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def bracketed(host: str) -> str:
    """Return a host as URLs have it (RFC 3986, section 3.2.2; RFC 6874 for a zone)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host
