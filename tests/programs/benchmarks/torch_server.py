"""A naive server as a baseline: FastAPI and torch, one text a call.

`python -m tests.programs.benchmarks.torch_server CHECKPOINT`
"""

import sys
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI

from service.http.native.score_request_schemas import ScoreRequest
from tests.programs.benchmarks.bare_server import serve
from train.checkpoint import load_model
from train.data.tokenizer import end_id
from train.model.loss import sparse_cross_entropy


def create_app(checkpoint: Path) -> FastAPI:
    torch.set_num_threads(1)
    model, _, tokenizer = load_model(checkpoint)
    end = end_id(tokenizer)
    app = FastAPI()

    @app.post("/score")
    @torch.no_grad()
    def score(request: ScoreRequest) -> Any:
        ids = [*tokenizer.encode(request.text or "").ids, end]
        inputs = torch.tensor([end, *ids[:-1]])
        hidden, _ = model(inputs[:, None], model.zero_state(1))
        losses = sparse_cross_entropy(model.logits(hidden[:, 0]), torch.tensor(ids))
        return {"tokens": losses.tolist(), "total": losses.sum().item()}

    return app


if __name__ == "__main__":
    serve(create_app(Path(sys.argv[1])))
