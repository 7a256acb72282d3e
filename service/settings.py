"""Settings: every flag of `python -m service` is also an environment variable `TIEDLM_…`.

They are read once, at the start, by pydantic-settings; a wrong value stops the start with one
line that names it.
"""

import json
import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    CLI_SUPPRESS,
    BaseSettings,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
)

from service.errors import StartError
from service.limits import ServerLimits, WaitLimits

KEY_BYTES = 32
ROOT_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
STARTER_BUNDLE = Path(__file__).parent / "starter"

Positive = Annotated[int, Field(gt=0)]


def _split(given: Any) -> Any:
    """`a, b` → [a, b]."""
    if isinstance(given, list):
        given = ",".join(given)
    return [part.strip() for part in given.split(",") if part.strip()]


class Settings(BaseSettings):
    """The service for scores and next words of a weight-tied LSTM language model."""

    model_config = SettingsConfigDict(
        env_prefix="TIEDLM_",
        extra="forbid",
        frozen=True,
        cli_prog_name="python -m service",
        cli_kebab_case=True,
        cli_hide_none_type=True,
    )

    bundle: Path = Field(STARTER_BUNDLE, description="the bundle directory to serve")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="0 takes a free one")
    root_path: str = Field(
        "",
        description="prefix of a proxy before every path, such as /lm; the proxy may strip it or "
        "keep it",
    )
    threads: Positive | None = Field(None, description="worker threads; default: usable cores")
    max_batch_tokens: Positive = Field(4096, description="padded tokens of one run")
    max_queue_tokens: Positive = Field(
        262_144, description="waiting tokens beyond which 429 answers"
    )
    max_queue_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None, description="sets --max-bulk-wait and --max-interactive-wait where they are not given"
    )
    max_bulk_wait: Annotated[float, Field(gt=0)] = Field(
        10.0,
        description="seconds of expected waiting beyond which /score and /rescore answer 429",
    )
    max_interactive_wait: Annotated[float, Field(gt=0)] = Field(
        1.0, description="the same for /next-token and /v1/completions"
    )
    max_body_bytes: Positive = Field(8 << 20, description="size of a request's body")
    max_texts: Positive = Field(4096, description="texts of a request")
    max_request_tokens: Positive = Field(200_000, description="tokens over all texts of a request")
    request_timeout: Annotated[float, Field(gt=0)] = Field(
        30.0, description="seconds that a request may wait for its first run"
    )
    prefix_cache_bytes: Annotated[int, Field(ge=0)] = Field(
        64 << 20, description="for states of contexts read lately; 0 turns the cache off"
    )
    state_key_file: Path | None = Field(
        None, description="key of state handles, 32 bytes or more, the same on every replica"
    )
    api_keys_file: Path | None = Field(
        None, description="keys that clients must have, one a line; read again when it changes"
    )
    api_keys: SecretStr | None = Field(
        None,
        description=CLI_SUPPRESS,  # flags can be seen by every user of the machine
    )
    admin_keys_file: Path | None = Field(
        None, description="keys for /admin; without it nobody may reload over HTTP"
    )
    cors_origins: Annotated[list[str], NoDecode, BeforeValidator(_split)] = Field(
        [], description="web pages that may call, such as https://a.b,https://c.d"
    )
    client_timeout: Annotated[float, Field(gt=0)] = Field(
        20.0, description="seconds a client has to send a head, a body, or to take some answer"
    )
    drain_seconds: Annotated[float, Field(ge=0)] = Field(
        5.0, description="of serving on after SIGTERM, while /health/ready says no"
    )
    tracing: bool = Field(False, description="OpenTelemetry traces; needs the extra `tracing`")
    calibration: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="NAME=FILE of `python -m service.bulk calibrate`; several with commas"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] | None = Field(
        None, description="default: text on a terminal, json elsewhere"
    )

    @field_validator("calibration", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return json.loads(given) if given.startswith("[") else tuple(filter(None, given.split(",")))

    @model_validator(mode="before")
    @classmethod
    def _set_both_waits(cls, given: dict[str, Any]) -> dict[str, Any]:
        both = given.get("max_queue_seconds")
        waits = {} if both is None else {"max_bulk_wait": both, "max_interactive_wait": both}
        return {**waits, **given}

    @property
    def wait_limits(self) -> WaitLimits:
        return WaitLimits(interactive=self.max_interactive_wait, bulk=self.max_bulk_wait)

    @property
    def limits(self) -> ServerLimits:
        return ServerLimits(
            max_batch_tokens=self.max_batch_tokens,
            max_queue_tokens=self.max_queue_tokens,
            max_bulk_wait=self.max_bulk_wait,
            max_interactive_wait=self.max_interactive_wait,
            max_body_bytes=self.max_body_bytes,
            max_texts=self.max_texts,
            max_request_tokens=self.max_request_tokens,
            request_timeout=self.request_timeout,
            client_timeout=self.client_timeout,
        )

    @field_validator("root_path")
    @classmethod
    def _prefix(cls, given: str) -> str:
        """`lm/` → `/lm`."""
        path = "/".join(filter(None, given.split("/")))
        if not ROOT_PATH.fullmatch(path):
            raise ValueError(
                "root_path holds a character that is not allowed; use letters, digits and -._~ "
                "between slashes"
            )
        return f"/{path}" if path else ""

    def state_key(self) -> bytes:
        """Of the key file, or random. Raises StartError for a file unreadable or too short."""
        path = self.state_key_file
        if path is None:
            return secrets.token_bytes(KEY_BYTES)
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise StartError(f"--state-key-file {path}: {error.strerror}") from None
        if len(key) < KEY_BYTES:
            raise StartError(f"--state-key-file {path}: {len(key)} bytes; {KEY_BYTES} are needed")
        return key


def read_settings(arguments: list[str]) -> Settings:
    """Flags, then the environment, then the defaults. Raises StartError naming the setting."""
    try:
        return Settings(_cli_parse_args=arguments)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        flag, variable = f"--{name.replace('_', '-')}", f"TIEDLM_{name.upper()}"
        raise StartError(f"{flag} ({variable}): {first['msg']}") from None
    except SettingsError as error:
        raise StartError(str(error)) from None
