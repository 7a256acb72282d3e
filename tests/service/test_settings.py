"""Settings: flags, then the environment, then defaults; one line for a wrong value."""

from pathlib import Path

import pytest

from service.errors import StartError
from service.limits import WaitLimits
from service.settings import STARTER_BUNDLE, Settings, read_settings

DEFAULTS = {
    "bundle": STARTER_BUNDLE,
    "host": "127.0.0.1",
    "port": 8000,
    "root_path": "",
    "threads": None,
    "max_batch_tokens": 4096,
    "max_queue_tokens": 262_144,
    "max_body_bytes": 8 * 1024 * 1024,
    "max_texts": 4096,
    "max_request_tokens": 200_000,
    "request_timeout": 30.0,
    "max_queue_seconds": None,
    "max_bulk_wait": 10.0,
    "max_interactive_wait": 1.0,
    "client_timeout": 20.0,
    "drain_seconds": 5.0,
    "api_keys_file": None,
    "api_keys": None,
    "admin_keys_file": None,
    "cors_origins": [],
    "tracing": False,
    "calibration": (),
    "log_level": "info",
    "log_format": None,
}
OTHERS = {
    "bundle": Path("elsewhere"),
    "host": "0.0.0.0",
    "port": 0,
    "root_path": "/lm",
    "threads": 3,
    "max_batch_tokens": 128,
    "max_queue_tokens": 999,
    "max_body_bytes": 1,
    "max_texts": 7,
    "max_request_tokens": 55,
    "request_timeout": 0.5,
    "max_queue_seconds": 1.5,
    "max_bulk_wait": 7.5,
    "max_interactive_wait": 0.75,
    "client_timeout": 2.5,
    "drain_seconds": 0.0,
    "api_keys_file": Path("keys"),
    "admin_keys_file": Path("admin-keys"),
    "tracing": True,
    "log_level": "debug",
    "log_format": "json",
}
WRONG = [
    ("port", "http"),
    ("port", "-1"),
    ("port", "65536"),
    ("port", "80.5"),
    ("root_path", "a b"),
    ("threads", "0"),
    ("threads", "many"),
    ("max_batch_tokens", "0"),
    ("max_queue_tokens", "-5"),
    ("max_body_bytes", "8MiB"),
    ("max_texts", ""),
    ("max_request_tokens", "1e3"),
    ("request_timeout", "0"),
    ("request_timeout", "nan"),
    ("max_queue_seconds", "0"),
    ("max_bulk_wait", "0"),
    ("max_bulk_wait", "nan"),
    ("max_interactive_wait", "-1"),
    ("max_interactive_wait", "soon"),
    ("client_timeout", "-1"),
    ("drain_seconds", "-1"),
    ("drain_seconds", "soon"),
    ("tracing", "perhaps"),
    ("log_level", "loud"),
    ("log_format", "xml"),
    ("calibration", "[1"),
]


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    return "TIEDLM_" + name.upper()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_the_documented_ones(name: str) -> None:
    assert getattr(read_settings([]), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_a_flag_sets(name: str) -> None:
    settings = read_settings([flag(name), str(OTHERS[name])])
    assert getattr(settings, name) == OTHERS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_a_variable_sets(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(variable(name), str(OTHERS[name]))
    assert getattr(read_settings([]), name) == OTHERS[name]


@pytest.mark.parametrize("value", ["a=1,b=2", '["a=1", "b=2"]'])
def test_calibrations_are_listed_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    assert read_settings(["--calibration", value]).calibration == ("a=1", "b=2")
    assert read_settings([f"--calibration={value}"]).calibration == ("a=1", "b=2")
    monkeypatch.setenv("TIEDLM_CALIBRATION", value)
    assert read_settings([]).calibration == ("a=1", "b=2")
    assert read_settings(["--calibration="]).calibration == ()


def test_a_calibration_flag_may_be_given_again() -> None:
    flags = ["--calibration", "a=1", "--calibration", "b=2"]
    assert read_settings(flags).calibration == ("a=1", "b=2")


def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIEDLM_PORT", "1111")
    assert read_settings(["--port", "2222"]).port == 2222


@pytest.mark.parametrize(("name", "value"), WRONG)
@pytest.mark.parametrize("way", ["flag", "variable"])
def test_wrong_value_is_one_line_with_its_names(
    monkeypatch: pytest.MonkeyPatch, way: str, name: str, value: str
) -> None:
    if way == "variable":
        monkeypatch.setenv(variable(name), value)
    with pytest.raises(StartError) as error:
        read_settings([f"{flag(name)}={value}"] if way == "flag" else [])
    assert flag(name) in error.value.message
    assert variable(name) in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    "given", ["https://a.b,https://c.d", " https://a.b , https://c.d, "], ids=["plain", "spaced"]
)
def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    pages = ["https://a.b", "https://c.d"]
    assert read_settings(["--cors-origins", given]).cors_origins == pages
    monkeypatch.setenv("TIEDLM_CORS_ORIGINS", given)
    assert read_settings([]).cors_origins == pages


def test_keys_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIEDLM_API_KEYS", "sesame-sesame-sesame")
    settings = read_settings([])
    assert settings.api_keys is not None
    assert settings.api_keys.get_secret_value() == "sesame-sesame-sesame"
    assert "sesame" not in repr(settings) + str(settings.model_dump_json())
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    help_text = capsys.readouterr().out
    assert "sesame" not in help_text
    assert "--api-keys " not in help_text


def test_an_unknown_flag_ends_with_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        read_settings(["--prot", "80"])
    assert ending.value.code == 2
    assert "--prot" in capsys.readouterr().err


def test_settings_do_not_change_after_the_start() -> None:
    settings = read_settings([])
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # the test needs the error


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_max_queue_seconds_sets_both_waits(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "variable":
        monkeypatch.setenv("TIEDLM_MAX_QUEUE_SECONDS", "30")
    settings = read_settings(["--max-queue-seconds", "30"] if by == "flag" else [])
    assert settings.wait_limits == WaitLimits(interactive=30, bulk=30)


def test_single_wait_overrides_max_queue_seconds() -> None:
    settings = read_settings(["--max-queue-seconds", "30", "--max-interactive-wait", "2"])
    assert settings.wait_limits == WaitLimits(interactive=2, bulk=30)
