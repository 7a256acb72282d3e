"""Settings: every flag of `python -m service` is also an environment variable `TIEDLM_…`.

pydantic-settings reads them once, at the start. A wrong value ends the start with one line that
names the setting.
"""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    CLI_SUPPRESS,
    BaseSettings,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
)

from service.errors import StartError, first_problem
from service.limits import ServerLimits, WaitLimits
from service.runtime.setting_values import (
    normalize_root_path,
    read_state_key,
    split_commas,
    split_commas_or_json,
)

NO_LIMIT = 1 << 60
STARTER_BUNDLE = Path(__file__).parent / "starter"
LIMITS = [field.name for field in fields(ServerLimits)]

Positive = Annotated[int, Field(gt=0)]


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

    bundle: Path = Field(STARTER_BUNDLE, description="directory of the bundle to serve")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8000, description="port to listen on; 0 for a free one"
    )
    root_path: Annotated[str, AfterValidator(normalize_root_path)] = Field(
        "",
        description="path under which a proxy publishes the service, such as /lm; the proxy may "
        "strip it or keep it",
    )
    threads: Positive | None = Field(
        None, description="worker threads; default: the CPUs that the process may use"
    )
    max_batch_tokens: Positive = Field(4096, description="tokens of one batch, padding included")
    max_queue_tokens: Positive = Field(
        262_144, description="tokens that may wait; above this number, requests get status 429"
    )
    max_queue_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="seconds; sets --max-bulk-wait and --max-interactive-wait, unless given",
    )
    max_bulk_wait: Annotated[float, Field(gt=0)] = Field(
        10.0,
        description="seconds of expected waiting; above this time, /score and /rescore respond "
        "with 429",
    )
    max_interactive_wait: Annotated[float, Field(gt=0)] = Field(
        1.0,
        description="seconds of expected waiting; above this time, /next-token and "
        "/v1/completions respond with 429",
    )
    max_body_bytes: Positive = Field(
        8 << 20, description="bytes of a request's body, after decompression"
    )
    max_texts: Positive = Field(4096, description="texts in one request")
    max_request_tokens: Positive = Field(
        200_000, description="tokens in one request, over all its texts"
    )
    request_timeout: Annotated[float, Field(gt=0)] = Field(
        30.0, description="seconds that a request may wait for its first batch"
    )
    prefix_cache_bytes: Annotated[int, Field(ge=0)] = Field(
        64 << 20, description="bytes of the cache of states after recent contexts; 0 turns it off"
    )
    state_key_file: Path | None = Field(
        None,
        description="file with the key of state handles, 32 bytes or more; same on all replicas",
    )
    api_keys_file: Path | None = Field(
        None,
        description="file with the API keys of clients, one per line; read again when it changes",
    )
    api_keys: SecretStr | None = Field(
        None,
        description=CLI_SUPPRESS,  # because every user of the machine can see flags
    )
    admin_keys_file: Path | None = Field(
        None, description="file with the keys for /admin; without it /admin rejects every request"
    )
    cors_origins: Annotated[list[str], NoDecode, BeforeValidator(split_commas)] = Field(
        [],
        description="origins of web pages that may call it, such as https://a.b,https://c.d",
    )
    client_timeout: Annotated[float, Field(gt=0)] = Field(
        20.0,
        description="seconds to receive a request's headers or body, or to make progress sending a "
        "response",
    )
    drain_seconds: Annotated[float, Field(ge=0)] = Field(
        5.0,
        description="seconds to keep serving after SIGTERM, with /health/ready already 503",
    )
    tracing: bool = Field(False, description="send OpenTelemetry traces; needs the extra `tracing`")
    calibration: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas_or_json)] = (
        Field(
            (),
            description="NAME=FILE of `python -m service.bulk calibrate`; several with commas",
        )
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level of the lines to log"
    )
    log_format: Literal["text", "json"] | None = Field(
        None, description="format of log lines; default: text on a terminal, json elsewhere"
    )

    @model_validator(mode="before")
    @classmethod
    def _set_both_waits(cls, values: dict[str, Any]) -> dict[str, Any]:
        both = values.get("max_queue_seconds")
        waits = {} if both is None else {"max_bulk_wait": both, "max_interactive_wait": both}
        return {**waits, **values}

    @property
    def wait_limits(self) -> WaitLimits:
        return WaitLimits(interactive=self.max_interactive_wait, bulk=self.max_bulk_wait)

    @property
    def limits(self) -> ServerLimits:
        """The settings that limit requests."""
        return ServerLimits(**{name: getattr(self, name) for name in LIMITS})

    @staticmethod
    def unlimited(bundle: Path | None = None, threads: int | None = None) -> "Settings":
        """Return settings for a job: without limits on requests, prefix cache and calibrations.

        If an argument is None, the environment or the default decides. Raises StartError.
        """
        values = {"bundle": bundle, "threads": threads}
        return _validated(
            max_queue_tokens=NO_LIMIT,
            max_bulk_wait=NO_LIMIT,
            max_interactive_wait=NO_LIMIT,
            max_request_tokens=NO_LIMIT,
            request_timeout=NO_LIMIT,
            prefix_cache_bytes=0,
            calibration=(),
            **{name: value for name, value in values.items() if value is not None},
        )

    def state_key(self) -> bytes:
        """Return the key of state handles. Raises StartError as `read_state_key` does."""
        return read_state_key(self.state_key_file)


def read_settings(arguments: list[str]) -> Settings:
    """Return the settings: a flag goes before its variable, and a variable before the default.

    Raises StartError, which names the setting.
    """
    return _validated(_cli_parse_args=arguments)


def _validated(**given: Any) -> Settings:
    try:
        return Settings(**given)
    except ValidationError as error:
        location, message = first_problem(error.errors())
        name = str(location[0]) if location else "settings"
        flag, variable = f"--{name.replace('_', '-')}", f"TIEDLM_{name.upper()}"
        raise StartError(f"{flag} ({variable}): {message}") from None
    except SettingsError as error:
        raise StartError(str(error)) from None
