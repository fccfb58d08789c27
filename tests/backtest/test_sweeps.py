import json
import re
from datetime import date, timedelta

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest

from backtest.report.breakdown import short
from backtest.report.sweeps import write_sweep
from backtest.sweep import MEASURES, SweepSettings, grid, judged

SETTINGS = SweepSettings(k=(10, 20), buffer=(1.0, 2.0), every=(1, 5), cost_multiple=(1.0,), cash=(1e6, 1e9), blocks=4)


@pytest.fixture(name="found")
def _found():
    rng = np.random.default_rng(0)
    points = grid(SETTINGS)
    frame = pl.DataFrame([{**point._asdict(), **{name: float(rng.normal()) for name in MEASURES}} for point in points])
    dates = tuple(date(2020, 1, 1) + timedelta(days=i) for i in range(80))
    return judged(dates, frame, rng.normal(0, 0.01, (80, len(points))), 4)


def test_page_of_a_sweep_needs_no_network_and_plotly_knows_every_figure(found, tmp_path):
    page, data = write_sweep(tmp_path, "<b>Sweep</b>", found, facts={"model": "<i>"})
    text = page.read_text(encoding="utf-8")
    assert "<b>Sweep" not in text
    assert not re.search(r'(src|href)="', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    specs = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL).group(1))
    assert len(specs) == 2 * 6 + 1  # two measures over every pair of the four axes that vary, and the logits
    for spec in specs:
        go.Figure(spec)
    read = json.loads(data.read_text(encoding="utf-8"))
    assert read["configurations"] == found.frame.to_dicts()
    assert read["best"] == found.frame.row(found.best, named=True)
    first = read["planes"][0]
    assert (first["x"], first["y"], first["x_values"], first["y_values"]) == ("buffer", "k", [1.0, 2.0], [10, 20])
    assert first["cells"] == found.plane("buffer", "k", "information_ratio")[2].tolist()


def test_chinese_page_warns_of_luck_in_chinese(found, tmp_path):
    text = write_sweep(tmp_path, "扫描", found, lang="zh")[0].read_text(encoding="utf-8")
    assert "最优有多少是运气" in text
    assert "可能只是运气" in text


def test_numbers_are_short_on_an_axis():
    assert [short(value) for value in (1, 1.5, 50, 1e6, 1e8, 1e9, 25_000)] == ["1", "1.5", "50", "1M", "100M", "1B", "25k"]
