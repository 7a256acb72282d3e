"""How a route gets at the language model that its request leased."""

from typing import Annotated

from fastapi import Depends, Request

from service.language_model import LanguageModel


async def current_model(request: Request) -> LanguageModel:
    model: LanguageModel = request.scope["model"]
    return model


Model = Annotated[LanguageModel, Depends(current_model)]
