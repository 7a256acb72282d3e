"""Error classes: which status and code raises which, their fields, and their former names."""

import pickle

import pytest

from service import client as package
from service.client import (
    BadRequest,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidState,
    Retries,
    ServerError,
    TiedlmError,
    Unauthorized,
)
from tests.service.client.conftest import MakeClient
from tests.support.sync_or_async_client import CannedResponses, error_response


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_json", BadRequest),
        (401, "unauthorized", Unauthorized),
        (404, "not_found", BadRequest),
        (413, "body_too_large", BadRequest),
        (422, "unknown_token", BadRequest),
        (422, "invalid_state", InvalidState),
        (500, "internal", ServerError),
        (504, "deadline_exceeded", DeadlineExceeded),
    ],
)
def test_other_errors_are_not_retried(
    make_client: MakeClient, status: int, code: str, kind: type[TiedlmError]
) -> None:
    responses = CannedResponses(error_response(status, code, **{"X-Request-Id": "theirs"}))
    with pytest.raises(kind) as caught:
        make_client(responses, retries=Retries())("score", "a")
    assert len(responses.requests) == 1
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.param) == (status, code, "texts.3")
    assert (error.message, error.request_id) == ("not so", "theirs")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (kind, str(error))


@pytest.mark.parametrize(
    ("former", "kind"),
    [
        ("NoAnswer", ConnectionFailed),
        ("RequestRefused", BadRequest),
        ("ServerFailed", ServerError),
    ],
)
def test_former_name_catches_the_error(former: str, kind: type[TiedlmError]) -> None:
    assert former in package.__all__
    with pytest.raises(getattr(package, former)) as caught:
        raise kind("failed")
    assert type(caught.value) is kind
