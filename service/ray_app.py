"""The service on Ray Serve: the same application in replicas that come and go with the load.

    TIEDLM_STATE_KEY_FILE=key serve run service.ray_app:build max_replicas=8

Settings are those of `python -m service`, from the environment of whoever starts it; port and
host are Ray's. Replicas share nothing: a state handle goes to any of them, for they have one key.
A replica that is to go stops getting requests, finishes what it has within `drain_seconds`, and
closes its model at the end of the application's life.
"""

from typing import Any

from ray import serve

from service.bundle import Bundle
from service.errors import StartError
from service.http.app import create_app
from service.language_model import LanguageModel
from service.settings import Settings, read_settings

# A replica queues and batches by itself, and is faster for it: this many requests each.
TARGET_REQUESTS = 32
MOST_REQUESTS = 256
DRAIN_SECONDS = 30.0
# As Ray has them: how long the load must be above or below the target.
UPSCALE_SECONDS, DOWNSCALE_SECONDS = 30, 600


def build(arguments: dict[str, str]) -> Any:
    """The Ray Serve application; `min_replicas` (1), `max_replicas` (1), `cpus` of a replica (1),
    `target_requests` in flight of a replica (32), `upscale_seconds` (30) and `downscale_seconds`
    (600) that the load must differ.

    Raises StartError for a wrong setting, and for several replicas without a common key.
    """
    settings = read_settings([])
    least, most, cpus = (int(arguments.get(n, 1)) for n in ("min_replicas", "max_replicas", "cpus"))
    if most > 1 and settings.state_key_file is None:
        raise StartError("several replicas need one key: set TIEDLM_STATE_KEY_FILE")
    Bundle.load(settings.bundle)  # what is wrong with it is said here, not in a replica's log
    settings = settings.model_copy(update={"threads": settings.threads or cpus})
    deployment = serve.deployment(
        serve.ingress(lambda: _app(settings))(),
        name="tiedlm",
        autoscaling_config={
            "min_replicas": least,
            "max_replicas": max(least, most),
            "target_ongoing_requests": float(arguments.get("target_requests", TARGET_REQUESTS)),
            "upscale_delay_s": float(arguments.get("upscale_seconds", UPSCALE_SECONDS)),
            "downscale_delay_s": float(arguments.get("downscale_seconds", DOWNSCALE_SECONDS)),
        },
        max_ongoing_requests=MOST_REQUESTS,
        graceful_shutdown_timeout_s=DRAIN_SECONDS,
        graceful_shutdown_wait_loop_s=0.5,
        ray_actor_options={"num_cpus": cpus},
    )
    return deployment.bind()


def _app(settings: Settings) -> Any:
    return create_app(LanguageModel(Bundle.load(settings.bundle), settings))
