"""Distillation: the loss and its gradient, which answers are learnt from, and that a walk forward never sees what comes later."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import KestrelError
from models.sentiment.distil import FilterSettings, WalkSettings, lessons, walk_forward
from models.sentiment.student.documents import COMPANY
from models.sentiment.student.losses import DistilSettings, Targets, labelled, log_loss, loss, softmax, taught, temperature

NAN = np.nan


def mixed(settings: DistilSettings) -> Targets:
    """Five texts: labelled and taught, taught, labelled."""
    rng = np.random.default_rng(0)
    teacher = rng.dirichlet(np.ones(3), 5)
    teacher[4] = NAN
    return Targets(taught(teacher, None, np.array([2, 0, -1, -1, 1])).human_NC, teacher, settings)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0.5, 4), st.integers(0, 1000))
def test_the_gradient_is_that_of_the_loss(alpha: float, warm: float, seed: int) -> None:
    targets = mixed(DistilSettings(alpha=alpha, temperature=warm))
    z = np.random.default_rng(seed).normal(0, 2, (5, 3))
    _, gradient = loss(z, targets)
    for place in np.ndindex(z.shape):
        up, down = z.copy(), z.copy()
        up[place] += 1e-5
        down[place] -= 1e-5
        assert gradient[place] == pytest.approx((loss(up, targets)[0] - loss(down, targets)[0]) / 2e-5, abs=1e-5)


def test_the_loss_is_the_published_one_for_a_text_with_label_and_teacher() -> None:
    z, p, alpha, warm = np.array([[0.3, -1.0, 0.5]]), np.array([[0.7, 0.2, 0.1]]), 0.4, 3.0
    targets = taught(p, DistilSettings(alpha=alpha, temperature=warm), np.array([0]))
    soft_teacher, soft_student = softmax(np.log(p) / warm), softmax(z / warm)
    cross = -(soft_teacher * np.log(soft_student)).sum()
    assert loss(z, targets)[0] == pytest.approx(alpha * warm**2 * cross - (1 - alpha) * np.log(softmax(z)[0, 0]))


def test_labels_alone_are_plain_cross_entropy_whatever_alpha_says() -> None:
    z = np.array([[0.2, 0.9], [1.0, -1.0]])
    assert loss(z, labelled(np.array([1, 0]), 2))[0] == pytest.approx(-np.log(softmax(z)[[0, 1], [1, 0]]).sum())


def test_a_teachers_own_logits_are_where_its_loss_is_least() -> None:
    p = np.array([[0.6, 0.3, 0.1]])
    _, gradient = loss(np.log(p), taught(p))
    assert gradient == pytest.approx(np.zeros((1, 3)), abs=1e-12)


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1.5, (4000, 3))
    labels = np.eye(3)[[rng.choice(3, p=p) for p in softmax(true)]]
    warm = temperature(3 * true, labels)
    assert warm == pytest.approx(3, rel=0.1)
    assert log_loss(3 * true / warm, labels) < log_loss(3 * true, labels)


# -- lessons

SHANGHAI = ZoneInfo("Asia/Shanghai")


def news(count: int) -> pl.DataFrame:
    moments = [datetime(2020, 1, 1 + n, 10, tzinfo=SHANGHAI) for n in range(count)]
    frame = pl.DataFrame({"id": [f"n{count - n}" for n in range(count)], "published_at": moments, "title": "旧名公告", "body": None})
    return frame.with_columns(pl.col("published_at").dt.convert_time_zone("Asia/Shanghai"), pl.col("body").cast(pl.String))


def scores(*rows: tuple[str, str, float | None, float | None, float | None]) -> pl.DataFrame:
    names = ("id", "scorer", "p_negative", "p_neutral", "p_positive")
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(symbol=pl.lit("000001.SZ"))


NAMES = pl.DataFrame({"symbol": ["000001.SZ"] * 2, "start": [date(2010, 1, 1), date(2020, 1, 2)], "name": ["旧名", "新名"]})


def test_unsure_answers_and_samples_that_disagree_teach_nothing() -> None:
    given_ = scores(
        ("n1", "a", 0.34, 0.33, 0.33),
        ("n2", "a", 0.9, 0.05, 0.05),
        ("n2", "b", 0.8, 0.1, 0.1),
        ("n3", "a", 0.98, 0.01, 0.01),
        ("n3", "b", 0.2, 0.1, 0.7),
        ("n4", "a", None, None, None),
    )
    found = lessons(news(4), given_, NAMES, FilterSettings(entropy=0.8, agreement=0.6))
    assert found["id"].to_list() == ["n2"]
    assert found.select("p_negative", "p_neutral", "p_positive").row(0) == pytest.approx((0.85, 0.075, 0.075))
    assert set(lessons(news(4), given_, NAMES, FilterSettings(entropy=1, agreement=0))["id"]) == {"n1", "n2", "n3"}


def test_a_text_is_read_under_the_name_of_its_day_in_the_order_of_publication() -> None:
    found = lessons(news(2), scores(("n1", "a", 0.9, 0.1, 0.0), ("n2", "a", 0.9, 0.1, 0.0)), NAMES)
    assert found["id"].to_list() == ["n2", "n1"]
    assert found["text"].to_list() == [f"{COMPANY}公告", "旧名公告"]


def test_a_stock_without_a_name_is_read_as_it_stands() -> None:
    found = lessons(news(1), scores(("n1", "a", 0.9, 0.1, 0.0)), NAMES.clear())
    assert found["text"].to_list() == ["旧名公告"]


# -- walk forward


class Memory:
    """A student that remembers what it was shown: its probability says how many texts that was."""

    name = "memory"

    def __init__(self, seen: list[list[str]]) -> None:
        self.about: dict[str, Any] = {}
        self.seen = seen

    def fit(self, texts: Sequence[str], targets: Targets, **_: Any) -> None:
        self.seen.append(list(texts))

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        assert not set(texts) & set(self.seen[-1])
        return np.full((len(texts), 2), len(self.seen[-1]))

    def save(self, folder: Any) -> None:
        raise NotImplementedError


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=12, max_size=60), st.integers(1, 30), st.integers(0, 5))
def test_a_walk_forward_learns_only_from_days_before_the_day_it_scores(offsets: list[int], every: int, delay: int) -> None:
    days = [date(2020, 1, 1) + timedelta(days=n) for n in sorted(offsets)]
    texts = [f"{n}" for n in range(len(days))]
    fits: list[list[str]] = []
    targets, walk = labelled(np.zeros(len(days), np.int64), 2), WalkSettings(least=5, days=every, delay=delay)
    try:
        found = walk_forward(lambda: Memory(fits), days, texts, targets, walk)
    except KestrelError:
        assert sum(day < days[-1] - timedelta(days=delay) for day in days) < 5
        return
    for day, known in zip(days, found[:, 0], strict=True):
        before = sum(other < day - timedelta(days=delay) for other in days)
        assert np.isnan(known) == (before < 5)
        assert np.isnan(known) or 5 <= known <= before


def test_days_out_of_order_are_refused() -> None:
    with pytest.raises(KestrelError, match="order of their days"):
        walk_forward(lambda: Memory([]), [date(2020, 1, 2), date(2020, 1, 1)], ["a", "b"], labelled(np.array([0, 1]), 2))
