"""A minimal client of the HTTP API: JSON over a socket on 127.0.0.1, parsed strictly."""

import json
from pathlib import Path
from typing import Any, NoReturn

import httpx

Json = dict[str, Any]
ROOT = str(Path(__file__).parents[2])
JSON_TYPE = {"Content-Type": "application/json"}


def strict_json(content: bytes) -> Any:
    """Parse JSON and reject NaN and Infinity, which Python's parser accepts."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(content.decode(), parse_constant=refuse)


class ApiClient:
    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def send(self, route: str, content: bytes) -> httpx.Response:
        return self.http.post(route, content=content, headers=JSON_TYPE)

    def post(self, route: str, **fields: Any) -> httpx.Response:
        """Send the fields as ASCII JSON, so that lone surrogates can be sent too."""
        return self.send(route, json.dumps(fields).encode())

    def score(self, **fields: Any) -> Json:
        return ok_json(self.post("/score", **fields))

    def score_one(self, **fields: Any) -> Json:
        """Return the only result of a request with one text."""
        (result,) = self.score(**fields)["results"]
        return dict(result)

    def next_token(self, **fields: Any) -> Json:
        return ok_json(self.post("/next-token", **fields))

    def logprobs_after(self, ids: list[int], **fields: Any) -> dict[int, float]:
        """Return the log-probability of every vocabulary entry, by /next-token."""
        size = self.next_token(top_k=0)["vocabulary_size"]
        tokens = self.next_token(token_ids=ids, top_k=size, **fields)["tokens"]
        return {token["id"]: token["logprob"] for token in tokens}


def ok_json(response: httpx.Response) -> Json:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return dict(strict_json(response.content))


def error_json(response: httpx.Response, status: int, code: str) -> Json:
    """Check the error envelope of a rejected request and return its `error` object."""
    assert response.status_code == status, response.text
    assert response.headers["X-Request-Id"]
    content = strict_json(response.content)
    assert set(content) == {"error"}
    refusal: Json = content["error"]
    assert set(refusal) == {"message", "type", "param", "code"}
    assert refusal["code"] == code
    assert isinstance(refusal["type"], str)
    assert refusal["param"] is None or isinstance(refusal["param"], str)
    assert refusal["message"]
    assert "Traceback" not in refusal["message"]
    assert ".py" not in refusal["message"]
    assert ROOT not in refusal["message"]
    return refusal


def logprobs(result: Json) -> list[float | None]:
    return [token["logprob"] for token in result["tokens"]]


def scored_logprobs(result: Json) -> list[float]:
    """Return the log-probabilities of the tokens that have one."""
    return [logprob for logprob in logprobs(result) if logprob is not None]


def token_ids(result: Json) -> list[int]:
    return [token["id"] for token in result["tokens"]]
