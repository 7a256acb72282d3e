"""Addresses to listen on: sockets bound to a host and port, and their URLs."""

import socket

from service.errors import StartError

# libuv, the event loop under uvloop, accepts one connection of a socket in each turn. A busy loop
# turns 20 times a second, and the kernel would drop the connections beyond that.
ACCEPTS_PER_TURN = 32
# The loopback of each family, which reaches a socket that listens on any address.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound but does not listen yet.

    Raises StartError if the address is taken, unknown, not of this machine, or of an address family
    that this machine does not have.
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
        reason = getattr(error, "strerror", None) or "this is not a valid host name"
        raise StartError(f"cannot listen on {shown}: {reason}") from None
    # IPv4 first, so that `localhost` is 127.0.0.1 on a machine that has both families.
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
    """Return the socket and 31 duplicates, because the event loop accepts one connection of each
    socket in a turn.
    """
    return [listener, *(listener.dup() for _ in range(ACCEPTS_PER_TURN - 1))]


def url(listener: socket.socket) -> str:
    """Return the URL of the socket's address, such as `http://[::1]:8000`."""
    host, port = listener.getsockname()[:2]
    return f"http://{bracketed(host)}:{port}"


def local_url(listener: socket.socket) -> str:
    """Return a URL at which a client on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{bracketed(LOOPBACK.get(host, host))}:{port}"


def bare(host: str) -> str:
    """Return a host without surrounding spaces and without the brackets of URLs."""
    host = host.strip()
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL (RFC 3986, section 3.2.2; RFC 6874 for a zone)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host
