"""cancel_on_disconnect: end the work for a request whose client has left."""

import asyncio
from collections.abc import Awaitable

from starlette.types import Receive

from service.http.body.request_body import ClientDisconnected
from service.http.request_context import RequestContext


async def cancel_on_disconnect(
    work: Awaitable[None], context: RequestContext, receive: Receive
) -> None:
    """Await the work, and cancel it if the client disconnects before its response is complete.

    `receive` returns what follows the request's body. Raise ClientDisconnected.
    """
    task = asyncio.current_task()
    assert task is not None
    disconnected = False

    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        if not context.response_complete:
            disconnected = True
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        await work
    except asyncio.CancelledError:
        if not disconnected:
            raise
        task.uncancel()
        raise ClientDisconnected from None
    finally:
        watcher.cancel()
