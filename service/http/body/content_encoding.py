"""Request bodies that arrive compressed: gzip alone, unpacked within the limit of a body."""

import asyncio
import zlib

from starlette.datastructures import Headers

from service.errors import BodyTooLarge, DamagedBody, UnsupportedEncoding

GZIP = ("gzip", "x-gzip")  # RFC 9110, section 8.4.1.3
GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Input is fed in pieces, because zlib copies what stands after a member. Between two pieces another
# thread may run.
PIECE_BYTES = 64 << 10
# A member costs about 10 µs and may hold nothing. Tools write one for each 64 KiB at most.
MAX_MEMBERS = 1000
# A member unpacks to about 1,000 times its bytes, so this much to 1 MB, in about a millisecond.
INLINE_BYTES = 1 << 10


def check_encoding(headers: Headers) -> bool:
    """Return whether the body is gzip. Raises UnsupportedEncoding, which names the coding."""
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
        f"Content-Encoding {named} is not supported; send the body as gzip once, or as it is"
    )


async def unpack(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip body, of all its members.

    Raises BodyTooLarge beyond `limit` bytes, DamagedBody for what is not whole gzip.
    """
    if len(body) <= INLINE_BYTES:
        return _unpack(body, limit)
    return await asyncio.to_thread(_unpack, body, limit)


def _unpack(body: bytes, limit: int) -> bytes:
    unpacked, size, members = [], 0, 0
    member = None
    for begin in range(0, len(body), PIECE_BYTES):
        piece = body[begin : begin + PIECE_BYTES]
        while piece:
            if member is None:
                piece = piece.lstrip(b"\0") if members else piece  # zeros may pad the end
                if not piece:
                    break
                members += 1
                if members > MAX_MEMBERS:
                    raise DamagedBody(
                        f"the gzip body has too many members: more than {MAX_MEMBERS}"
                    )
                member = zlib.decompressobj(GZIP_WINDOW)
            try:
                content = member.decompress(piece, limit - size + 1)
            except zlib.error:
                raise DamagedBody("the body is not gzip, as Content-Encoding says") from None
            unpacked.append(content)
            size += len(content)
            if size > limit:
                raise BodyTooLarge(
                    f"the body unpacks to more than {limit} bytes, which is the limit"
                )
            piece = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member = None
    if member is not None:
        raise DamagedBody("the gzip body is cut off; send all of it")
    return b"".join(unpacked)
