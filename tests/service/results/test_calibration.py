"""Calibrations: `service.bulk calibrate` writes a table, `/score` returns percentiles."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bulk.__main__ import main
from service.bundle import Bundle
from service.client import Client
from service.errors import StartError
from service.language_model import LanguageModel
from service.results.calibration import BIN_NATS, Calibration, Histogram
from service.settings import Settings
from tests.support.api_client import ApiClient, error_json, ok_json
from tests.support.bulk_job import Jobs, rows
from tests.support.http_server import serve_with

FIGURES = st.lists(st.floats(0, 30), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = random.Random(3)
    words = ["the", "city", "river", "of", "in", "was", "station", "film", "born", "Zxqvyk"]
    lines = [" ".join(chance.choices(words, k=chance.randint(1, 30))) for _ in range(200)]
    path = tmp_path_factory.mktemp("reference") / "corpus.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def table(corpus: Path, bundle_path: Path) -> Path:
    out = corpus.parent / "table.json"
    assert main(["calibrate", str(corpus), "--out", str(out), "--bundle", str(bundle_path)]) == 0
    return out


@pytest.fixture(scope="module")
def calibrated(bundle_path: Path, table: Path) -> Iterator[ApiClient]:
    given_tables = (f"news={table}", f"other={table}")
    settings = Settings(bundle=bundle_path, threads=1, calibration=given_tables)
    with serve_with(LanguageModel(Bundle.load(bundle_path), settings)) as (host, port):
        url = f"http://{host}:{port}"
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
            yield ApiClient(http)


@given(figures=FIGURES)
def test_percentiles_equal_numpy_within_a_bin(figures: list[float]) -> None:
    found = table_of(figures)
    assert found.texts == len(figures)
    tenths = np.percentile(figures, np.linspace(0, 100, 1001))
    assert np.abs(np.array(found.percentiles) - tenths).max() <= BIN_NATS


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ([3.1007], {3.1007: 0, 3.1: 0, 2: 0, 4: 100}),
        ([3.1007] * 1000, {3.1007: 0, 2: 0, 4: 100}),
        ([3.1007] * 1000 + [9.9] * 1000, {3.1007: 0, 9.9: 50, 5: 50, 10: 100}),
        ([1.0] * 250 + [2.0] * 500 + [3.0] * 250, {1: 0, 2: 25, 2.5: 75, 3: 75}),
    ],
)
def test_equal_texts_are_not_below_each_other(
    figures: list[float], expected: dict[float, float]
) -> None:
    found = table_of(figures)
    assert {figure: found.percentile(figure) for figure in expected} == pytest.approx(
        expected, abs=0.11
    )


@given(figures=FIGURES, asked=st.lists(st.floats(0, 20), min_size=2))
def test_percentiles_rise_with_cross_entropy(figures: list[float], asked: list[float]) -> None:
    found = table_of(figures)
    percentiles = [found.percentile(figure) for figure in sorted(asked)]
    assert percentiles == sorted(percentiles, key=lambda percentile: percentile or 0)
    assert all(0 <= (percentile or 0) <= 100 for percentile in percentiles)


def table_of(figures: list[float]) -> Calibration:
    histogram = Histogram()
    for figure in figures:
        histogram.add(figure)
    return Calibration.model_validate_json(histogram.calibration("tiny", "0" * 64).dumps())


def test_percentile_is_the_share_of_texts_below() -> None:
    figures = np.random.default_rng(0).normal(5, 1, 20_000)
    found = table_of(figures.tolist())
    for figure in (0.5, 3, 4.5, 5, 7.25, 20):
        percentile = found.percentile(figure)
        assert percentile == pytest.approx(100 * (figures < figure).mean(), abs=0.06)
    assert found.percentile(None) is None


def test_table_needs_a_text() -> None:
    with pytest.raises(StartError, match="nothing to calibrate with"):
        Histogram().calibration("tiny", "0" * 64)


def test_table_holds_mean_cross_entropies_of_corpus(
    corpus: Path, table: Path, api: ApiClient
) -> None:
    texts = corpus.read_text().split("\n")
    results = api.score(texts=texts, tokens=False)["results"]
    means = [result["mean_cross_entropy"] for result in results]
    content = json.loads(table.read_text())
    expected = np.percentile(means, np.linspace(0, 100, 1001))
    assert np.abs(np.array(content["percentiles"]) - expected).max() <= BIN_NATS
    assert content["texts"] == 200
    assert content["figure"] == "mean_cross_entropy"
    assert content["unit"] == "nats"


def test_score_adds_percentiles(calibrated: ApiClient, corpus: Path) -> None:
    texts = corpus.read_text().split("\n")
    plain = calibrated.score(texts=texts, unit="bits")
    results = calibrated.score(texts=texts, unit="bits", calibration="news")["results"]
    assert "percentile" not in plain["results"][0]
    means = np.array([result["mean_cross_entropy"] for result in results])
    for result in results:
        below = 100 * (means < result["mean_cross_entropy"]).mean()
        assert result["percentile"] == pytest.approx(below, abs=1.5)
    by_ids = calibrated.score_one(token_ids=[[2, 3]], top=2, calibration="news")
    assert 0 <= by_ids["percentile"] <= 100


@pytest.mark.parametrize(
    "fields",
    [
        {"eos": False},
        {"bos": False},
        {"context": "The city"},
        {"contexts": ["The city"]},
        {"cache": {}},
        {"state": None},
    ],
)
def test_partial_texts_get_no_percentile(calibrated: ApiClient, fields: dict[str, object]) -> None:
    if "state" in fields:
        fields = {"state": calibrated.next_token(context="The", return_state=True)["state"]}
    assert calibrated.post("/score", text="a river", **fields).status_code == 200
    response = calibrated.post("/score", text="a river", calibration="news", **fields)
    assert error_json(response, 422, "invalid_request")["param"] == "calibration"


def test_unknown_calibration_is_rejected_with_known_names(
    calibrated: ApiClient, api: ApiClient
) -> None:
    refusal = error_json(
        calibrated.post("/score", text="a", calibration="x"), 422, "invalid_request"
    )
    assert refusal["param"] == "calibration"
    assert "news, other" in refusal["message"]
    refusal = error_json(api.post("/score", text="a", calibration="x"), 422, "invalid_request")
    assert "none" in refusal["message"]


def test_info_and_client_list_the_tables(calibrated: ApiClient) -> None:
    listed = ok_json(calibrated.http.get("/info"))["calibrations"]
    assert listed == [{"name": "news", "texts": 200}, {"name": "other", "texts": 200}]
    with Client(str(calibrated.http.base_url)) as client:
        assert [entry.name for entry in client.info().calibrations] == ["news", "other"]
        (result,) = client.score("The city", calibration="news").results
        assert result.percentile is not None
        assert 0 <= result.percentile <= 100
        assert client.score("The city").results[0].percentile is None


def test_table_of_another_bundle_stops_the_start(
    table: Path, bundle_path: Path, tmp_path: Path
) -> None:
    content = json.loads(table.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**content, "bundle": "elsewhere", "bundle_hash": "f" * 64}))
    with pytest.raises(StartError) as failure:
        LanguageModel(Bundle.load(bundle_path), Settings(calibration=(f"news={other}",)))
    assert "was made with the bundle elsewhere" in failure.value.message
    assert "\n" not in failure.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "Invalid JSON"), (b"{}", "bundle: Field required"), (None, "No such file")],
)
def test_invalid_table_stops_the_start(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "table.json").write_bytes(content)
    with pytest.raises(StartError, match=message) as failure:
        Calibration.load(tmp_path / "table.json", "starter", "0" * 64)
    assert "\n" not in failure.value.message


def test_bulk_rows_have_percentiles_and_buckets(
    jobs: Jobs, corpus: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    jobs.summary(
        corpus, "--out", out, "--calibration", table, "--buckets", "30,60", "--unit", "bits"
    )
    for row in rows(out):
        bucket = (
            "head" if row["percentile"] < 30 else "middle" if row["percentile"] < 60 else "tail"
        )
        near = min(abs(row["percentile"] - cut) for cut in (30, 60)) < 1e-6
        assert row["bucket"] == bucket or near


def test_existing_calibration_is_not_overwritten(jobs: Jobs, corpus: Path, table: Path) -> None:
    assert jobs("calibrate", corpus, "--out", table) == 1
    assert "already exists" in jobs.errors
