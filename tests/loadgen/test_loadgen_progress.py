"""The bar is drawn where somebody can see it, and nowhere else."""

from __future__ import annotations

import pytest
from zmcache_loadgen.progress import progress_bar
from zmcache_loadgen.runner import Progress


@pytest.mark.parametrize("fraction", [None, 0.5])
def test_the_bar_tells_rate_hits_and_errors_on_the_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fraction: float | None
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich, a terminal
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar(shown=True) as draw:
        assert draw is not None
        draw(Progress(elapsed_s=0.5, fraction=fraction, requests=1000, reads=900, hits=450, failed=0))
        draw(Progress(elapsed_s=1.0, fraction=fraction, requests=4000, reads=3600, hits=2700, failed=7))
    out, err = capsys.readouterr()
    assert out == ""
    assert "1,000 requests, 2,000/s, 50.0% hits, 0 errors" in err
    assert "4,000 requests, 6,000/s, 75.0% hits, 7 errors" in err


def test_there_is_no_bar_in_a_pipe_or_where_none_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with progress_bar(shown=True) as draw:
        assert draw is None
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar(shown=False) as draw:
        assert draw is None
    assert capsys.readouterr().err == ""
