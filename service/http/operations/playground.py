"""`GET /`: the playground page and its files. The page sends requests to this server only."""

import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

PAGE_FOLDER = Path(__file__).parents[2] / "playground"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGE = "index.html"
# No inline scripts and styles, no other host, and no markup from strings.
CONTENT_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)

RELATIVE_URL = re.compile(rb'\b(href|src)="(?=(?:playground/|docs"))')

router = APIRouter(include_in_schema=False)


def _read_files() -> dict[str, tuple[bytes, str]]:
    """Return the content and media type of every file by name. No other file can be requested."""
    paths = (path for path in PAGE_FOLDER.iterdir() if path.suffix in MEDIA_TYPES)
    return {path.name: (path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in paths}


FILES = _read_files()


@router.get("/")
async def page(request: Request) -> Response:
    """Return the page. Its relative URLs become absolute under a root path, because a browser may
    show the page at `/lm` without the final slash, and then resolves them against `/`.
    """
    content, media_type = FILES[PAGE]
    if root := request.scope.get("root_path"):
        content = RELATIVE_URL.sub(rf'\1="{root}/'.encode(), content)
    return _response(content, media_type)


@router.get("/playground/{name}")
async def file(name: str) -> Response:
    if name not in FILES:
        raise HTTPException(404)
    return _response(*FILES[name])


def _response(content: bytes, media_type: str) -> Response:
    headers = {"Content-Security-Policy": CONTENT_POLICY}
    return Response(content, media_type=media_type, headers=headers)
