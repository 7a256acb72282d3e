"""How a route gets at the language model that the application serves."""

from typing import Annotated

from fastapi import Depends, Request

from service.language_model import LanguageModel


async def current_model(request: Request) -> LanguageModel:
    model: LanguageModel = request.app.state.model
    return model


Model = Annotated[LanguageModel, Depends(current_model)]
