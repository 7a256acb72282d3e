"""Compressed request bodies: gzip only, unpacked within the limit of a body."""

import asyncio
import zlib

from starlette.datastructures import Headers

from service.errors import BodyTooLarge, DamagedBody, UnsupportedEncoding

GZIP = ("gzip", "x-gzip")  # RFC 9110, section 8.4.1.3
GZIP_WINDOW = 16 + zlib.MAX_WBITS
GZIP_MAGIC = b"\x1f\x8b"
# Input to zlib at a time, because zlib copies the bytes after a member. Other threads can run
# between two calls.
FEED_BYTES = 64 << 10
# A member costs about 10 µs and may be empty. Tools write at most one for each 64 KiB.
MAX_MEMBERS = 1000
# gzip packs up to 1,000 to 1, so this much unpacks to at most 1 MB, in about a millisecond.
INLINE_BYTES = 1 << 10
NOT_GZIP = "the body is not gzip; send gzip, or no Content-Encoding"
DAMAGED = "the gzip body is damaged; pack and send it again"


def check_encoding(headers: Headers) -> bool:
    """Return whether the body is gzip. Raise UnsupportedEncoding for any other coding."""
    codings = [
        coding
        for value in headers.getlist("content-encoding")
        for part in value.split(",")
        if (coding := part.strip().lower()) not in ("", "identity")
    ]
    if not codings:
        return False
    if len(codings) == 1 and codings[0] in GZIP:
        return True
    named = ", ".join(codings)[:100]
    raise UnsupportedEncoding(
        f"Content-Encoding {named} is not supported; send the body packed once by gzip, or unpacked"
    )


async def unpack(body: bytes, limit: int) -> bytes:
    """Return the content of all members of a gzip body.

    Raise BodyTooLarge above `limit` bytes, and DamagedBody unless the body is complete gzip.
    """
    if len(body) <= INLINE_BYTES:
        return _unpack(body, limit)
    return await asyncio.to_thread(_unpack, body, limit)


def _unpack(body: bytes, limit: int) -> bytes:
    unpacked, size, members = [], 0, 0
    member = None
    for start in range(0, len(body), FEED_BYTES):
        data = body[start : start + FEED_BYTES]
        while data:
            if member is None:
                data = data.lstrip(b"\0") if members else data  # zeros may pad the end
                if not data:
                    break
                members += 1
                if members > MAX_MEMBERS:
                    raise DamagedBody(f"the gzip body has too many members (at most {MAX_MEMBERS})")
                member = zlib.decompressobj(GZIP_WINDOW)
            try:
                content = member.decompress(data, limit - size + 1)
            except zlib.error:
                raise DamagedBody(DAMAGED if body.startswith(GZIP_MAGIC) else NOT_GZIP) from None
            unpacked.append(content)
            size += len(content)
            if size > limit:
                raise BodyTooLarge(f"the unpacked body is too large (at most {limit} bytes)")
            data = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member = None
    if member is not None:
        raise DamagedBody("the gzip body is incomplete; send all of it")
    return b"".join(unpacked)
