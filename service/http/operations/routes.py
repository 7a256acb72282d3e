"""Health and information for whoever operates the service."""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.errors import Draining
from service.http.model_registry import ModelRegistry
from service.http.openapi import COMMON_ERRORS, PLAIN_TEXT_RESPONSE
from service.http.operations.schemas import CalibrationEntry, Health, Info, Limits, TokenizerSummary
from service.http.request_context import Model

router = APIRouter(tags=["operations"], responses=COMMON_ERRORS)

PACKAGES = ("tiedlm", "onnxruntime", "numpy", "tokenizers", "fastapi")


@router.get("/health/live", response_model=Health, summary="The process answers")
async def live() -> Health:
    return Health(status="live")


@router.get("/health/ready", response_model=Health, summary="The engine is warm, and not draining")
async def ready(request: Request) -> Health:
    models: ModelRegistry = request.app.state.models
    if models.draining:
        raise Draining("this server ends; another one takes its place")
    return Health(status="ready")


@router.get(
    "/metrics", summary="Prometheus metrics", response_class=Response, responses=PLAIN_TEXT_RESPONSE
)
async def metrics(model: Model) -> Response:
    return Response(model.metrics.page(), media_type=CONTENT_TYPE_LATEST)


@router.get("/info", response_model=Info, summary="Model, limits and versions")
async def info(model: Model) -> Info:
    manifest, settings = model.bundle.manifest, model.settings
    limits = {**settings.model_dump(), "max_queue_seconds": settings.max_bulk_wait}
    return Info(
        model=manifest.name,
        bundle_hash=model.bundle.hash,
        precision=manifest.precision,
        vocabulary_size=manifest.vocabulary_size,
        tokenizer=TokenizerSummary(kind=model.tokenizer.kind, subword=model.tokenizer.subword),
        parameters=manifest.parameters,
        threads=model.threads,
        limits=Limits.model_validate(limits),
        versions={package: version(package) for package in PACKAGES},
        parity=manifest.parity,
        calibrations=[
            CalibrationEntry(name=name, texts=calibration.texts)
            for name, calibration in model.calibrations.items()
        ],
        training=manifest.training,
    )
