"""`GET /` and the files of its page, which asks this server and no other."""

import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parents[2] / "playground"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGE = "index.html"
# No inline script or style, no other host, and no string that becomes markup.
POLICY = "; ".join(
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

RELATIVE = re.compile(rb'\b(href|src)="(?=(?:playground/|docs"))')

router = APIRouter(include_in_schema=False)


def _read() -> dict[str, tuple[bytes, str]]:
    """Content and type of every file, by name: nothing else can be asked for."""
    paths = (path for path in FOLDER.iterdir() if path.suffix in TYPES)
    return {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in paths}


FILES = _read()


@router.get("/")
async def page(request: Request) -> Response:
    """The page's addresses are relative. Under a prefix they are not, because a browser may show
    the page at `/lm`, without the slash that they count from.
    """
    content, kind = FILES[PAGE]
    if root := request.scope.get("root_path"):
        content = RELATIVE.sub(rf'\1="{root}/'.encode(), content)
    return Response(content, media_type=kind, headers={"Content-Security-Policy": POLICY})


@router.get("/playground/{name}")
async def file(name: str) -> Response:
    if name not in FILES:
        raise HTTPException(404)
    return _file(name)


def _file(name: str) -> Response:
    content, kind = FILES[name]
    return Response(content, media_type=kind, headers={"Content-Security-Policy": POLICY})
