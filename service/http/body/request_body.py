"""The whole body of a request, read within limits of size and time."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from service.errors import BodyTooLarge, BodyTooSlow


class ClientDisconnected(Exception):
    """The client closed the connection before its request was answered."""


async def read_body(receive: Receive, headers: Headers, limit: int, seconds: float) -> bytes:
    """Return the body.

    Raise BodyTooLarge as early as possible, BodyTooSlow, or ClientDisconnected.
    """
    announced = announced_bytes(headers)
    if announced > limit:
        raise BodyTooLarge(f"the body is too large: {announced} bytes (at most {limit})")
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, limit)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not arrive within {seconds:g} seconds") from None


def announced_bytes(headers: Headers) -> int:
    """Return the Content-Length, or 0 without one. Only its first 20 digits are read."""
    announced = headers.get("content-length", "").lstrip("0")[:20]
    return int(announced) if announced.isdecimal() else 0


def replay(body: bytes) -> Receive:
    """Return a `receive` that returns the body once, and then waits for ever."""
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def is_utf_8(body: bytes) -> bool:
    """Return whether a body is UTF-8 without NUL.

    Python's JSON parser accepts UTF-16 and UTF-32 too. ASCII in them has NUL, JSON never.
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


async def _read(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")  # the usual case: all at once
        if len(body) <= limit:
            return body
    chunks, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise BodyTooLarge(f"the body is too large (at most {limit} bytes)")
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
