"""Client methods made from the functions that build a `Call`, so that each is written once."""

import inspect
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, get_args

from service.client.calls import Call

P = ParamSpec("P")
T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., Any])


class BlockingSender(Protocol):
    """A client that sends a call and returns its result."""

    def _send(self, call: Call[T]) -> T: ...


class AsyncSender(Protocol):
    """A client that sends a call and returns its result when awaited."""

    async def _send(self, call: Call[T]) -> T: ...


def blocking_method(make_call: Callable[P, Call[T]]) -> Callable[Concatenate[BlockingSender, P], T]:
    """Return a method that sends the call which `make_call` builds from the same arguments."""

    def method(self: BlockingSender, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._send(make_call(*args, **kwargs))

    return _with_signature_of(make_call, method)


def async_method(
    make_call: Callable[P, Call[T]],
) -> Callable[Concatenate[AsyncSender, P], Coroutine[Any, Any, T]]:
    """Return a coroutine method that sends the call which `make_call` builds."""

    async def method(self: AsyncSender, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._send(make_call(*args, **kwargs))

    return _with_signature_of(make_call, method)


def _with_signature_of(make_call: Callable[..., Call[Any]], method: Method) -> Method:
    """Copy name, docstring, arguments and result type, which help() and editors show."""
    signature = inspect.signature(make_call)
    self_parameter = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    (result_type,) = get_args(signature.return_annotation)
    update_wrapper(method, make_call)
    method.__dict__["__signature__"] = signature.replace(
        parameters=[self_parameter, *signature.parameters.values()], return_annotation=result_type
    )
    return method
