"""The service on Ray Serve: the same application, in replicas whose number follows the load.

    TIEDLM_STATE_KEY_FILE=key serve run service.ray_app:build max_replicas=8

The settings are those of `python -m service`, from environment variables; Ray chooses host and
port. Replicas share nothing. Any of them accepts a state handle of another one, because all have
the same key. When Ray stops a replica, it gets no more requests, finishes those that it has within
DRAIN_SECONDS, and closes its model.
"""

from typing import Any

from ray import serve

from service.bundle import Bundle
from service.errors import StartError
from service.http.app import create_app
from service.language_model import LanguageModel
from service.settings import Settings, read_settings

# Running requests of a replica: several, because the replica itself forms batches of them.
TARGET_REQUESTS = 32
MAX_REQUESTS = 256
DRAIN_SECONDS = 30.0
# Ray's defaults: the load must be above or below the target for this time.
UPSCALE_SECONDS, DOWNSCALE_SECONDS = 30, 600


def build(arguments: dict[str, str]) -> Any:
    """Return the Ray Serve application.

    Arguments and their defaults: `min_replicas` (1), `max_replicas` (1), `cpus` of a replica (1),
    `target_requests` that run in a replica (32), `upscale_seconds` (30) and `downscale_seconds`
    (600), for which the load must be above or below the target.

    Raises StartError for a wrong setting, and for several replicas without a common key.
    """
    settings = read_settings([])
    names = ("min_replicas", "max_replicas", "cpus")
    min_replicas, max_replicas, cpus = (int(arguments.get(name, 1)) for name in names)
    if max_replicas > 1 and settings.state_key_file is None:
        raise StartError("several replicas need one key: set TIEDLM_STATE_KEY_FILE")
    Bundle.load(settings.bundle)  # an error is raised here, and not in the log of a replica
    settings = settings.model_copy(update={"threads": settings.threads or cpus})
    deployment = serve.deployment(
        serve.ingress(lambda: _app(settings))(),
        name="tiedlm",
        autoscaling_config={
            "min_replicas": min_replicas,
            "max_replicas": max(min_replicas, max_replicas),
            "target_ongoing_requests": float(arguments.get("target_requests", TARGET_REQUESTS)),
            "upscale_delay_s": float(arguments.get("upscale_seconds", UPSCALE_SECONDS)),
            "downscale_delay_s": float(arguments.get("downscale_seconds", DOWNSCALE_SECONDS)),
        },
        max_ongoing_requests=MAX_REQUESTS,
        graceful_shutdown_timeout_s=DRAIN_SECONDS,
        graceful_shutdown_wait_loop_s=0.5,
        ray_actor_options={"num_cpus": cpus},
    )
    return deployment.bind()


def _app(settings: Settings) -> Any:
    """Return the application of one replica."""
    return create_app(LanguageModel(Bundle.load(settings.bundle), settings))
