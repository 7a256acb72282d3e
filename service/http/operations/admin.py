"""What only whoever holds an admin key may do."""

from fastapi import APIRouter, Request

from service.http.model_registry import ModelRegistry
from service.http.openapi import RELOAD_ERRORS
from service.http.operations.schemas import Reloaded

router = APIRouter(tags=["operations"], responses=RELOAD_ERRORS, prefix="/admin")


@router.post("/reload", response_model=Reloaded, summary="Serve the configured bundle as it is now")
async def reload(request: Request) -> Reloaded:
    models: ModelRegistry = request.app.state.models
    model = await models.reload()
    return Reloaded(model=model.info.name, bundle_hash=model.info.bundle_hash)
