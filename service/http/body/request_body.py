"""Reading a request's body, whole and before anything else: up to a size, and within a time."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from service.errors import BodyTooLarge, BodyTooSlow


class ClientDisconnected(Exception):
    pass


async def read_body(receive: Receive, headers: Headers, limit: int, seconds: float) -> bytes:
    """Raises BodyTooLarge as soon as that is known, BodyTooSlow, and ClientDisconnected."""
    announced = announced_bytes(headers)
    if announced > limit:
        raise BodyTooLarge(f"the body has {announced} bytes; at most {limit} are allowed")
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, limit)
    except TimeoutError:
        raise BodyTooSlow(f"the body was not here after {seconds:g} seconds") from None


def announced_bytes(headers: Headers) -> int:
    """The Content-Length; 0 if there is none. Of an absurd one only the first digits."""
    announced = headers.get("content-length", "").lstrip("0")[:20]
    return int(announced) if announced.isdecimal() else 0


def replay(body: bytes) -> Receive:
    """A receive that gives the body that was read, and then waits for what never comes."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def is_utf_8(body: bytes) -> bool:
    """Python parses UTF-16 and UTF-32 too; their ASCII holds NULs, which JSON never does."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


async def _read(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")  # nearly always all of it comes at once
        if len(body) <= limit:
            return body
    chunks, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise BodyTooLarge(f"the body has more than {limit} bytes, which is the limit")
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
