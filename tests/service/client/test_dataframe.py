"""`ScoreResult.to_dataframe`."""

import sys

import pytest

from service.client import ScoreResult
from tests.support.sync_or_async_client import SyncOrAsyncClient

DETAILED = {"texts": ["A river", "Two\nlines"], "unit": "bits", "details": True, "top_g": 5}


def test_dataframe_has_a_row_per_token(client: SyncOrAsyncClient) -> None:
    pytest.importorskip("pandas")
    result = client("score", **DETAILED)
    frame = result.to_dataframe()
    tokens = [token for text in result.results for token in text.tokens]
    lengths = [len(text.tokens) for text in result.results]
    assert frame["text_index"].tolist() == [0] * lengths[0] + [1] * lengths[1]
    assert frame["position"].tolist() == [*range(lengths[0]), *range(lengths[1])]
    names = ["id", "text", "surface", "start", "end", "logprob", "cross_entropy", "oov"]
    names += ["rank", "entropy", "anomalous"]
    assert list(frame.columns) == ["text_index", "position", *names]
    for name in names:
        assert frame[name].tolist() == [getattr(token, name) for token in tokens]
    assert frame.attrs == {"model": result.model, "unit": "bits"}


def test_dataframe_marks_missing_values(client: SyncOrAsyncClient) -> None:
    pytest.importorskip("pandas")
    frame = client("score", token_ids=[[2, 3]], bos=False, eos=False).to_dataframe()
    assert frame["logprob"].isna().tolist() == [True, False]
    assert frame["start"].isna().all()
    assert str(frame["start"].dtype) == "Int64"
    assert "rank" not in frame
    nothing = client("score", "", eos=False).to_dataframe()
    assert len(nothing) == 0
    assert list(nothing.dtypes) == list(frame.dtypes)


def test_dataframe_needs_tokens(client: SyncOrAsyncClient) -> None:
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="tokens=True"):
        client("score", "a", tokens=False).to_dataframe()


def test_dataframe_without_pandas_names_the_package(
    client: SyncOrAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    result: ScoreResult = client("score", "a")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        result.to_dataframe()
