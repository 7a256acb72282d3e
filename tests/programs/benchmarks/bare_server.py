"""Bare FastAPI with the same payloads: reads the same fields and returns recorded responses.

    python -m tests.programs.benchmarks.bare_server ANSWERS

ANSWERS is a JSON file of the form {path: response}.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.http.native.next_token_schemas import NextTokenRequest
from service.http.native.score_request_schemas import ScoreRequest


def create_app(answers: dict[str, Any]) -> FastAPI:
    app = FastAPI()

    @app.post("/score")
    async def score(_: ScoreRequest) -> Any:
        return answers["/score"]

    @app.post("/next-token")
    async def next_token(_: NextTokenRequest) -> Any:
        return answers["/next-token"]

    return app


def serve(app: FastAPI) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(create_app(json.loads(Path(sys.argv[1]).read_text())))
