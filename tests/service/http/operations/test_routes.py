"""Health, information and metrics of the service."""

import re

import pytest

from service.bundle import Bundle
from service.language_model import LanguageModel
from tests.support.api_client import ApiClient

NAMES = [
    'tiedlm_requests_total{route="/score",status="200"}',
    'tiedlm_request_seconds_count{route="/score"}',
    'tiedlm_queue_seconds_count{lane="bulk"}',
    "tiedlm_admission_seconds_count",
    'tiedlm_queue_seconds_count{lane="interactive"}',
    'tiedlm_inference_seconds_count{stage="encode"}',
    "tiedlm_tokenize_seconds_count",
    'tiedlm_tokens_total{route="/score"}',
    "tiedlm_oov_tokens_total",
    "tiedlm_batch_tokens_count",
    "tiedlm_batch_fill_ratio_count",
    'tiedlm_queue_tokens{lane="bulk"}',
    'tiedlm_rejected_total{code="invalid_json"}',
    "tiedlm_prefix_cache_hits_total",
    "tiedlm_prefix_cache_misses_total",
]


def metric(api: ApiClient, name: str) -> float:
    """Return the value of a metric, 0 if it has none yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", api.http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_health(api: ApiClient) -> None:
    assert api.http.get("/health/live").json() == {"status": "live"}
    assert api.http.get("/health/ready").json() == {"status": "ready"}


def test_info_describes_the_model(api: ApiClient, model: LanguageModel) -> None:
    bundle = Bundle.load(model.settings.bundle)
    info = api.http.get("/info").json()
    assert info["bundle_hash"] == bundle.hash
    assert info["vocabulary_size"] == bundle.manifest.vocabulary_size
    assert info["tokenizer"] == {"kind": "words", "subword": False}
    assert info["precision"] == bundle.manifest.precision
    assert info["training"] == bundle.manifest.training
    assert info["threads"] == 2
    assert info["limits"] == {
        "max_batch_tokens": 4096,
        "max_queue_tokens": 262_144,
        "max_bulk_wait": 60.0,
        "max_interactive_wait": 60.0,
        "max_queue_seconds": 60.0,
        "max_body_bytes": 8 << 20,
        "max_texts": 4096,
        "max_request_tokens": 200_000,
        "request_timeout": 30.0,
        "client_timeout": 20.0,
        "max_top": 100,
        "max_top_tokens": 1_000_000,
        "max_cache_positions": 100_000,
    }
    assert set(info["versions"]) >= {"tiedlm", "onnxruntime", "numpy"}


def test_every_documented_metric_exists(api: ApiClient) -> None:
    api.score(text="The city")
    api.next_token(context="The city")
    api.send("/score", b"{")
    page = api.http.get("/metrics").text
    assert [name for name in NAMES if f"\n{name} " not in page] == []
    assert f'hash="{api.http.get("/info").json()["bundle_hash"]}"' in page


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ('tiedlm_requests_total{route="/score",status="200"}', 1),
        ('tiedlm_tokens_total{route="/score"}', 4),
        ("tiedlm_oov_tokens_total", 1),
        ('tiedlm_rejected_total{code="invalid_request"}', 0),
        ('tiedlm_queue_tokens{lane="bulk"}', 0),
    ],
)
def test_scored_text_is_counted_once(api: ApiClient, name: str, more: int) -> None:
    before = metric(api, name)
    api.score(text="The city Zxqvyk")
    assert metric(api, name) == before + more


@pytest.mark.parametrize(
    ("name", "more"),
    [('tiedlm_tokens_total{route="/rescore"}', 6), ("tiedlm_oov_tokens_total", 2)],
)
def test_rescore_counts_hypotheses_not_context(api: ApiClient, name: str, more: int) -> None:
    before = metric(api, name)
    hypotheses = [{"text": "The Zxqvyk"}, {"text": "The Qqxz"}]
    api.post("/rescore", hypotheses=hypotheses, context="A Zxqvyk")
    assert metric(api, name) == before + more


def test_rejection_is_counted_by_code(api: ApiClient) -> None:
    name = 'tiedlm_rejected_total{code="input_too_long"}'
    before = metric(api, name)
    api.post("/score", texts=[""] * 4097)
    assert metric(api, name) == before + 1


def test_unmatched_paths_share_one_label(api: ApiClient) -> None:
    name = 'tiedlm_requests_total{route="unmatched",status="404"}'
    before = metric(api, name)
    for path in ("/wp-login.php", "/.env"):
        api.http.get(path)
    assert metric(api, name) == before + 2
    assert "wp-login" not in api.http.get("/metrics").text
