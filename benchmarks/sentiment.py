"""Students on the research pack's labelled news, beside the linear floor and the lexicon, and how fast they read.

Each set is de-duplicated and split by the last fifth of its dates where it has any, else by sha256(text) mod 5 = 0.  The floor is scikit-learn's
logistic regression on hashed character 1-4-grams, its C chosen on a fifth of the training texts; students choose their own settings there too.

Run: KESTREL_DATA_PACK=... python benchmarks/sentiment.py [SET ...]       Prints tables and writes benchmarks/results/sentiment-DATE.json.
"""

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.sentiment.answers import Answer, News
from models.sentiment.evaluation import Estimate, evaluation, gain, wilson
from models.sentiment.lexicon import Lexicon
from models.sentiment.student.blend import BlendStudent
from models.sentiment.student.documents import document
from models.sentiment.student.losses import labelled
from models.sentiment.student.student import KINDS, Student

PACK = Path(os.environ.get("KESTREL_DATA_PACK", Path(__file__).parents[2] / "shared" / "data"))
NEAR = 0.9  # cosine of character 4-grams above which two texts are nearly the same


@dataclass(frozen=True)
class Labelled:
    """Texts as they are, with the concerned company's name where it tells nothing of the label, their classes, and which are tested."""

    texts: list[str]
    names: list[str]
    labels: NDArray[np.int64]
    test: NDArray[np.bool_]

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.labels.max()) + 1


def titles() -> Labelled:
    """Dated titles: negative or positive for the company."""
    frame = (
        pl.read_parquet(PACK / "news_titles_2016_2019.parquet").unique("title", keep="first", maintain_order=True).sort("date", maintain_order=True)
    )
    return dated(frame["title"], frame["name"], frame["label"], frame["date"].dt.date())


def forum() -> Labelled:
    """Forum posts: negative, neutral, positive."""
    frame = pl.read_parquet(PACK / "finfe_forum_sentiment_train.parquet").unique("text", keep="first", maintain_order=True)
    return hashed(frame["text"], None, frame["label"])


def negative() -> Labelled:
    """Whether news is negative for a company.  The set names companies in its negative rows alone, so their names stay unused."""
    frame = pl.read_parquet(PACK / "negative_news_train.parquet").unique("text", keep="first", maintain_order=True)
    return hashed(frame["text"], None, frame["negative"])


def returns() -> Labelled:
    """News with classes made from the returns that followed."""
    frame = pl.read_parquet(PACK / "astock_news_val.parquet").filter(pl.col("TITLE").is_not_null()).sort("DATE", "code", "TITLE")
    frame = frame.unique("TITLE", keep="first", maintain_order=True)
    return dated(frame["TITLE"], frame["NAME"], frame["label"].cast(pl.Int64), frame["DATE"].str.slice(0, 10).str.to_date())


def events() -> Labelled:
    """22 event types from the text alone."""
    frame = pl.read_parquet(PACK / "event_news_train.parquet").unique("text", keep="first", maintain_order=True)
    return hashed(frame["text"], None, frame["event"].rank("dense").cast(pl.Int64) - 1)


def company_events() -> Labelled:
    """The event of the company named.  Rows without a company are all of the type 'other', so they are left out: its absence tells the label."""
    frame = pl.read_parquet(PACK / "event_news_train.parquet").unique("text", keep="first", maintain_order=True).filter(pl.col("company") != "NaN")
    return hashed(frame["text"], frame["company"], frame["event"].rank("dense").cast(pl.Int64) - 1)


def dated(texts: pl.Series, names: pl.Series, labels: pl.Series, days: pl.Series) -> Labelled:
    """Split at the day that four fifths of the texts come before."""
    cut = days[int(len(days) * 0.8)]
    return Labelled(texts.to_list(), names.to_list(), labels.cast(pl.Int64).to_numpy(), (days >= cut).to_numpy())


def hashed(texts: pl.Series, names: pl.Series | None, labels: pl.Series) -> Labelled:
    """Split by the text's sha256."""
    test = [int(hashlib.sha256(text.encode()).hexdigest(), 16) % 5 == 0 for text in texts]
    return Labelled(texts.to_list(), [""] * len(texts) if names is None else names.to_list(), labels.cast(pl.Int64).to_numpy(), np.array(test))


SETS: dict[str, Callable[[], Labelled]] = {
    "titles": titles,
    "forum": forum,
    "negative": negative,
    "returns": returns,
    "events": events,
    "company_events": company_events,
}


def floor(data: Labelled) -> tuple[NDArray[np.float64], float]:
    """(probabilities of the tested texts, C): scikit-learn's logistic regression on hashed character 1-4-grams of name and text."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    read = [f"{name} {text}" if name else text for name, text in zip(data.names, data.texts, strict=True)]
    x = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=2**18).transform(read).tocsc()
    train = np.flatnonzero(~data.test)
    x = x[:, np.flatnonzero(np.diff(x[train].tocsc().indptr))].tocsr()  # columns that training never sees keep their weight of 0
    held = train[np.arange(len(train)) % 5 == 4]
    rest = np.setdiff1d(train, held)

    # The problem is convex: a fit that begins where the one before ended comes to the same place in fewer steps.
    model = LogisticRegression(max_iter=100, tol=1e-3)

    def fitted(rows: NDArray[np.int64], c: float) -> Any:
        alike = np.array_equal(getattr(model, "classes_", []), np.unique(data.labels[rows]))
        return model.set_params(C=c, warm_start=alike).fit(x[rows], data.labels[rows])

    best = max((1.0, 10.0, 30.0) if data.classes <= 3 else (10.0, 30.0), key=lambda c: fitted(rest, c).score(x[held], data.labels[held]))
    fitted(train, best)
    p_NC = np.zeros((int(data.test.sum()), data.classes))
    p_NC[:, model.classes_] = model.predict_proba(x[data.test])
    return p_NC, best


def listed(data: Labelled, sense: int) -> NDArray[np.int64]:
    """Classes by the lexicon, the other way round for a sense of -1; where it says nothing: neutral, or the larger class of two."""
    answers = Lexicon().score([News(str(place), "", "", data.texts[place]) for place in np.flatnonzero(data.test)])
    tone = sense * np.array([answer.score if isinstance(answer, Answer) else 0.0 for answer in answers])
    if data.classes == 3:
        return np.sign(tone).astype(np.int64) + 1
    usual = int(np.bincount(data.labels[~data.test]).argmax())
    return np.where(tone == 0, usual, tone > 0)


def near_duplicates(data: Labelled) -> NDArray[np.bool_]:
    """Which tested texts nearly stand in the training part."""
    from sklearn.feature_extraction.text import HashingVectorizer

    x = HashingVectorizer(analyzer="char", ngram_range=(4, 4), alternate_sign=False).transform(data.texts)
    rows, train = np.flatnonzero(data.test), x[~data.test].T.tocsr()
    return np.concatenate([(x[part] @ train).max(axis=1).toarray().ravel() >= NEAR for part in np.array_split(rows, 1 + len(rows) // 200)])


def judged(data: Labelled, kinds: list[str], name: str) -> list[dict[str, Any]]:
    """A row each of lexicon, floor and students: figures with intervals, the gains over both, and speed."""
    truth = data.labels[data.test]
    near = near_duplicates(data)
    floor_p, c = floor(data)
    floor_right = floor_p.argmax(axis=1) == truth
    rows = [row(name, f"floor, C = {c:g}", floor_p, truth, floor_right, near)]
    hits = listed(data, -1 if name == "negative" else 1) == truth if data.classes <= 3 else None
    if hits is not None:
        rows.insert(0, {"set": name, "scorer": "lexicon", **interval("accuracy", wilson(int(hits.sum()), len(hits)))})
    read = [document(text, name=own) for text, own in zip(data.texts, data.names, strict=True)]
    train, test = ([text for text, out in zip(read, data.test, strict=True) if out == side] for side in (False, True))
    fits: dict[str, Student] = {}
    for kind in kinds:
        student, began = KINDS[kind](), time.perf_counter()
        if isinstance(student, BlendStudent) and {"linear", "encoder"} <= set(fits):
            student.members = (fits["linear"], fits["encoder"])  # they would come out the same
        else:
            student.fit(train, labelled(data.labels[~data.test], data.classes))
        fits[kind], fit_s = student, time.perf_counter() - began
        p_NC = student.predict(test)
        found = row(name, kind, p_NC, truth, floor_right, near)
        found |= {} if hits is None else interval("over_lexicon", gain(p_NC.argmax(axis=1) == truth, hits))
        rows.append(found | {"texts_a_second": round(speed(student, test)), "fit_s": round(fit_s, 1)})
    return [one | {"train": len(train), "test": len(test), "near_duplicates": int(near.sum())} for one in rows]


def row(
    name: str, scorer: str, p_NC: NDArray[np.float64], truth: NDArray[np.int64], floor_right: NDArray[np.bool_], near: NDArray[np.bool_]
) -> dict[str, Any]:
    """All figures of one scorer on one set."""
    right = p_NC.argmax(axis=1) == truth
    figures: dict[str, Any] = {"set": name, "scorer": scorer}
    for figure, estimate in evaluation(p_NC, truth).items():
        figures |= interval(figure, estimate)
    return figures | interval("gain", gain(right, floor_right)) | {"accuracy_without_near": float(right[~near].mean())}


def interval(name: str, estimate: Estimate) -> dict[str, float]:
    """A figure and the ends of its interval."""
    return {name: round(estimate.value, 4), f"{name}_low": round(estimate.low, 4), f"{name}_high": round(estimate.high, 4)}


def speed(student: Student, texts: list[str]) -> float:
    """Texts a second, from Python strings to probabilities: the best of three."""
    many = texts * max(1, 20_000 // len(texts))
    student.predict(texts[:100])
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        student.predict(many)
        spent.append(time.perf_counter() - began)
    return len(many) / min(spent)


def main() -> None:
    """Measure, print, keep."""
    options = argparse.ArgumentParser()
    options.add_argument("sets", nargs="*", choices=[*SETS, []], default=list(SETS))
    options.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    asked = options.parse_args()
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    results = Path(__file__).parent / "results" / f"sentiment-{date.today().isoformat()}.json"
    rows: list[dict[str, Any]] = []
    for name in asked.sets or SETS:
        rows += judged(SETS[name](), asked.kinds, name)
        for one in rows:
            if one["set"] == name:
                print(json.dumps(one), flush=True)
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
