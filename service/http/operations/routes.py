"""The routes for operators: health, metrics, information about the model, and reload."""

from dataclasses import asdict
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.errors import Draining
from service.http.model_registry import ModelRegistry
from service.http.openapi import COMMON_ERRORS, PLAIN_TEXT_RESPONSE, RELOAD_ERRORS
from service.http.operations.schemas import (
    CalibrationEntry,
    Health,
    Info,
    Limits,
    Reloaded,
    TokenizerSummary,
)
from service.http.request_context import Model

router = APIRouter(tags=["operations"], responses=COMMON_ERRORS)
# Routes that require an admin key.
admin_router = APIRouter(tags=["operations"], responses=RELOAD_ERRORS, prefix="/admin")

PACKAGES = ("tiedlm", "onnxruntime", "numpy", "tokenizers", "fastapi")


@router.get("/health/live", response_model=Health, summary="The process answers")
async def live() -> Health:
    return Health(status="live")


@router.get("/health/ready", response_model=Health, summary="The engine is warm, and not draining")
async def ready(request: Request) -> Health:
    models: ModelRegistry = request.app.state.models
    if models.draining:
        raise Draining("draining: this server is shutting down")
    return Health(status="ready")


@router.get(
    "/metrics", summary="Prometheus metrics", response_class=Response, responses=PLAIN_TEXT_RESPONSE
)
async def metrics(model: Model) -> Response:
    return Response(model.metrics.page(), media_type=CONTENT_TYPE_LATEST)


@router.get("/info", response_model=Info, summary="Model, limits and versions")
async def info(model: Model) -> Info:
    info, limits = model.info, asdict(model.limits)
    return Info(
        model=info.name,
        bundle_hash=info.bundle_hash,
        precision=info.precision,
        vocabulary_size=info.vocabulary_size,
        tokenizer=TokenizerSummary(kind=info.tokenizer_kind, subword=info.subword),
        parameters=info.parameters,
        threads=info.threads,
        limits=Limits(**limits, max_queue_seconds=model.limits.max_bulk_wait),
        versions={package: version(package) for package in PACKAGES},
        parity=info.parity,
        calibrations=[
            CalibrationEntry(name=name, texts=calibration.texts)
            for name, calibration in model.calibrations.items()
        ],
        training=info.training,
    )


@admin_router.post(
    "/reload", response_model=Reloaded, summary="Serve the configured bundle as it is now"
)
async def reload(request: Request) -> Reloaded:
    models: ModelRegistry = request.app.state.models
    model = await models.reload()
    return Reloaded(model=model.info.name, bundle_hash=model.info.bundle_hash)
