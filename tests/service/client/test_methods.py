"""Client methods and results mirror the wire, and their documentation is complete."""

import doctest
import inspect
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from pydantic import BaseModel

from service import client
from service.client import Client, requests
from service.client.score_request import score as score_call
from service.http.native import next_token_schemas, rescore_schemas, score_response_schemas
from service.http.native.score_request_schemas import ScoreRequest
from service.http.openai import request_schemas, response_schemas
from service.http.operations import schemas as operations

METHODS = ("score", "next_token", "rescore", "tokenize", "detokenize", "info", "ready")


def test_importing_the_client_loads_only_httpx() -> None:
    heavy = {"fastapi", "pydantic", "onnxruntime", "numpy", "pandas", "tokenizers"}
    script = "import sys, service.client; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "httpx" in loaded
    assert loaded & heavy == set()


@pytest.mark.parametrize(
    ("result", "schema"),
    [
        (client.ScoreResult, score_response_schemas.ScoreResponse),
        (client.TextResult, score_response_schemas.TextResult),
        (client.Aggregates, score_response_schemas.Aggregates),
        (client.TokenScore, score_response_schemas.TokenScore),
        (client.WordScore, score_response_schemas.WordScore),
        (client.Alternative, score_response_schemas.Alternative),
        (client.NextTokenResult, next_token_schemas.NextTokenResponse),
        (client.RankedToken, next_token_schemas.RankedToken),
        (client.CandidateToken, next_token_schemas.CandidateToken),
        (client.RescoreResult, rescore_schemas.RescoreResponse),
        (client.RescoredHypothesis, rescore_schemas.RescoredHypothesis),
        (client.Hypothesis, rescore_schemas.Hypothesis),
        (client.Tokenization, response_schemas.TokenizeResponse),
        (client.Info, operations.Info),
        (client.Limits, operations.Limits),
        (client.TokenizerSummary, operations.TokenizerSummary),
    ],
)
def test_client_has_every_field_of_the_wire(result: Any, schema: type[BaseModel]) -> None:
    assert {field.name for field in fields(result)} == set(schema.model_fields)


@pytest.mark.parametrize(
    ("call", "schema"),
    [
        (score_call, ScoreRequest),
        (requests.next_token, next_token_schemas.NextTokenRequest),
        (requests.rescore, rescore_schemas.RescoreRequest),
        (requests.tokenize, request_schemas.TokenizeRequest),
        (requests.detokenize, request_schemas.DetokenizeRequest),
    ],
)
def test_methods_have_the_defaults_of_the_wire(call: Any, schema: type[BaseModel]) -> None:
    parameters = inspect.signature(call).parameters
    assert set(parameters) == set(schema.model_fields)
    for name, field in schema.model_fields.items():
        default = parameters[name].default
        if field.is_required():
            assert default is inspect.Parameter.empty
        elif default is not None:  # None is not sent
            assert default == (tuple(field.default) if name == "candidates" else field.default)


def test_help_shows_arguments_and_result() -> None:
    assert str(inspect.signature(Client.detokenize)) == (
        "(self, /, tokens: collections.abc.Sequence[int]) -> str"
    )
    assert "Raises" in (inspect.getdoc(Client.score) or "")


@pytest.mark.parametrize("name", METHODS)
def test_example_in_the_docstring_runs(address: tuple[str, int], name: str) -> None:
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(getattr(Client, name)) or "")
    assert examples
    with Client(f"http://{address[0]}:{address[1]}") as instance:
        names = {"client": instance}
        for example in examples:
            exec(example.source, names)
