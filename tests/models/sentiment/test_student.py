"""Students: grams against plain Python, tables against torch, and what every kind must hold: determinism, folders, scores."""

import json
import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import KestrelError
from models.sentiment.answers import Answer, Failure, News
from models.sentiment.student import grams, tables
from models.sentiment.student.blend import BlendSettings, BlendStudent
from models.sentiment.student.documents import COMPANY, document
from models.sentiment.student.encoder import EncoderSettings, EncoderStudent
from models.sentiment.student.linear import LinearSettings, LinearStudent
from models.sentiment.student.losses import labelled, taught
from models.sentiment.student.scorer import StudentScorer
from models.sentiment.student.student import KINDS, Student, load_student

SMALL = EncoderSettings(embedding=8, channels=8, epochs=10, rate=0.02, longest=40)
WORDS = (("亏损", "处罚", "减持", "下滑"), ("公告", "会议", "地址", "更正"), ("增长", "中标", "回购", "新高"))


def corpus(count: int, classes: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Titles of a company, a word that tells the class, and a number that doesn't."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    kinds = WORDS if classes == 3 else WORDS[::2]
    return [f"{COMPANY}：{kinds[label][rng.integers(4)]}{rng.integers(1, 999)}万元" for label in labels], labels


def make(kind: str) -> Student:
    linear = LinearSettings(bits=14, strengths=(10.0,))
    made = {"linear": LinearStudent(linear), "encoder": EncoderStudent(SMALL), "blend": BlendStudent(BlendSettings(linear=linear, encoder=SMALL))}
    return made[kind]


@pytest.fixture(scope="module", params=KINDS)
def fitted(request: pytest.FixtureRequest) -> Student:
    student = make(request.param)
    texts, labels = corpus(300, 3)
    student.fit(texts, labelled(labels, 3))
    student.about = {"classes": ["negative", "neutral", "positive"], "target": "tone"}
    return student


# -- grams


def plain_counts(text: str) -> Counter[str]:
    """Every gram of a text by the definition."""
    marked = ["\x02", *(chr(grams.folded(ord(char))) for char in text), "\x03"]
    return Counter("".join(marked[i : i + n]) for n in range(1, grams.LONGEST + 1) for i in range(len(marked) - n + 1))


def bucket_of(gram: str) -> int:
    """FNV-1a over the code points, its upper bits mixed down, 18 bits of it."""
    h = 14695981039346656037
    for char in gram:
        h = (h ^ ord(char)) * 1099511628211 % 2**64
    return ((h ^ (h >> 29)) * 0xBF58476D1CE4E5B9 % 2**64) >> (64 - 18)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=15), min_size=1, max_size=5))
def test_counts_are_those_of_the_grams_of_each_text(texts: list[str]) -> None:
    edges, buckets, counts = grams.counts(*grams.codes(texts), 18)
    alone = {gram: bucket_of(gram) for text in texts for gram in plain_counts(text)}
    for n, text in enumerate(texts):
        expected: Counter[int] = Counter()
        for gram, times in plain_counts(text).items():
            expected[alone[gram]] += times
        assert dict(zip(buckets[edges[n] : edges[n + 1]].tolist(), counts[edges[n] : edges[n + 1]].tolist(), strict=True)) == expected


def test_a_text_counts_the_same_wherever_it_stands() -> None:
    texts = ["净利润同比增长", "", "减持", "净利润同比增长"]
    edges, buckets, counts = grams.counts(*grams.codes(texts), 16)
    rows = [list(zip(buckets[a:b], counts[a:b], strict=True)) for a, b in pairwise(edges)]
    assert rows[0] == rows[3]
    assert len(rows[1]) == 3  # START, END and both


@pytest.mark.parametrize(("one", "other"), [("ＡＢＣ１２", "abc34"), ("增长12%", "增长98％")])
def test_width_case_and_the_value_of_digits_count_for_nothing(one: str, other: str) -> None:
    first, second = (grams.counts(*grams.codes([text]), 20)[1:] for text in (one, other))
    assert np.array_equal(first, second)


def test_rows_have_length_one_and_unknown_buckets_are_left_out() -> None:
    counted = grams.counts(*grams.codes(["增长增长", "亏损"]), 12)
    column = np.full(1 << 12, -1, np.int32)
    known = counted[1][: counted[0][1]]
    column[known] = np.arange(len(known), dtype=np.int32)
    edges, _, values = grams.weighed(*counted, column, np.ones(len(known), np.float32))
    assert np.sum(values[: edges[1]] ** 2) == pytest.approx(1, abs=1e-6)
    common, single = (1 + math.log(n) for n in (2, 1))
    assert values[0] / values[: edges[1]].max() == pytest.approx(single / common)


def test_untrusted_text_of_any_code_point_passes() -> None:
    strange = ["\ud800\udfff", "\U0010ffff" * 3, "\x00\x02\x03", "‮abc​", ""]
    assert np.isfinite(make_linear().predict(strange)).all()


def make_linear() -> LinearStudent:
    student = LinearStudent(LinearSettings(bits=12, strengths=(3.0,)))
    texts, labels = corpus(60, 2)
    student.fit(texts, labelled(labels, 2))
    return student


# -- documents


def test_the_company_is_a_marker_wherever_it_stands_and_a_text_cannot_forge_it() -> None:
    assert document("张家界：净利增长", "张家界公告。", "张家界") == f"{COMPANY}：净利增长\n{COMPANY}公告。"
    assert document(f"{COMPANY}跌停", name="平安") == "跌停"
    assert document("一汽一体", name="一") == "一汽一体"


# -- tables


def test_tables_answer_as_the_network_does() -> None:
    import torch

    from models.sentiment.student.network import Network, _padded

    texts, labels = corpus(80, 3)
    student = EncoderStudent(SMALL)
    student.fit(texts, labelled(labels, 3))
    network = Network(len(student.alphabet) + 4, SMALL.embedding, SMALL.channels, SMALL.widths, 3, SMALL.dropout).eval()
    network.load_state_dict({name: torch.from_numpy(values) for name, values in student.weights.items()})
    asked = [*texts[:20], "", "短", "没见过的字龘靐" * 20]
    edges, characters = student._spelled(asked)
    x_BT, length_B = _padded(edges, characters, np.arange(len(asked)))
    with torch.no_grad():
        expected = network(torch.from_numpy(x_BT), torch.from_numpy(length_B)).numpy()
    assert student.logits(asked) == pytest.approx(expected, abs=1e-4)


def test_padding_of_a_batch_changes_no_answer(fitted: Student) -> None:
    texts, _ = corpus(12, 3, seed=3)
    together = fitted.predict(["增" * 200, *texts])[1:]
    alone = np.concatenate([fitted.predict([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-6)


def test_texts_are_cut_at_the_longest_and_padded_to_the_widest_window() -> None:
    character = np.full(0x110000, 9, np.int32)
    edges, found = tables.spelled(*grams.codes(["甲乙丙丁戊", ""]), character, 3, 4)
    assert np.diff(edges).tolist() == [5, 4]
    assert found[edges[1] + 2 :].tolist() == [tables.PAD] * 2


# -- every kind


def test_a_student_learns_what_is_to_be_learnt(fitted: Student) -> None:
    texts, labels = corpus(200, 3, seed=1)
    p_NC = fitted.predict(texts)
    assert p_NC.sum(axis=1) == pytest.approx(np.ones(200))
    assert (p_NC.argmax(axis=1) == labels).mean() > 0.95


def test_the_same_texts_give_the_same_student_to_the_bit(fitted: Student) -> None:
    again = make(fitted.name)
    texts, labels = corpus(300, 3)
    again.fit(texts, labelled(labels, 3))
    assert np.array_equal(again.predict(texts), fitted.predict(texts))


def test_a_saved_student_answers_to_the_bit_and_holds_nothing_pickled(fitted: Student, tmp_path: Path) -> None:
    fitted.save(tmp_path / "s")
    texts, _ = corpus(50, 3, seed=2)
    found = load_student(tmp_path / "s")
    assert np.array_equal(found.predict(texts), fitted.predict(texts))
    assert found.about == fitted.about
    assert {file.suffix for file in (tmp_path / "s").rglob("*") if file.is_file()} == {".json", ".safetensors"}


def test_an_edited_folder_is_refused(fitted: Student, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    weights = next(tmp_path.rglob("weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\1\0")
    with pytest.raises(KestrelError, match="isn't what was saved"):
        load_student(tmp_path)


def test_a_blend_of_another_fits_member_is_refused(tmp_path: Path) -> None:
    texts, labels = corpus(60, 2)
    blend = make("blend")
    blend.fit(texts, labelled(labels, 2))
    blend.save(tmp_path)
    other = LinearStudent(LinearSettings(bits=10, strengths=(1.0,)))
    other.fit(texts, labelled(labels, 2))
    other.save(tmp_path / "linear")
    with pytest.raises(KestrelError, match="isn't what was saved"):
        load_student(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_texts_are_refused_with_the_number_needed(kind: str) -> None:
    texts, labels = corpus(20, 2)
    with pytest.raises(KestrelError, match="20 texts are too few"):
        make(kind).fit(texts, labelled(labels, 2))


def test_predicting_needs_no_torch(tmp_path: Path) -> None:
    texts, labels = corpus(60, 2)
    blend = make("blend")
    blend.fit(texts, labelled(labels, 2))
    blend.save(tmp_path)
    code = (
        "import sys; from pathlib import Path; from models.sentiment.student.student import load_student; "
        f"load_student(Path({str(tmp_path)!r})).predict(['增长']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


# -- scoring


def news(title: str, body: str = "") -> News:
    return News("1", "000430.SZ", "张家界", title, body)


def test_a_scorer_answers_in_levels_and_knows_where_the_company_stands(fitted: Student, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    scorer = StudentScorer(tmp_path)
    good, bad, nothing = scorer.score([news("张家界：增长5万元"), news("张家界：亏损5万元"), news(" ", "\n")])
    assert isinstance(good, Answer)
    assert isinstance(bad, Answer)
    assert good.score > 0.5
    assert bad.score < -0.5
    assert good.probabilities[1] == good.probabilities[3] == 0.0
    assert sum(good.probabilities) == pytest.approx(1)
    assert nothing == Failure("no text")
    assert scorer.name.startswith(f"student-{fitted.name}-")


def test_two_classes_use_the_ends_and_the_name_follows_the_folder(tmp_path: Path) -> None:
    student = make_linear()
    student.about = {"target": "tone"}
    student.save(tmp_path / "a")
    answer = StudentScorer(tmp_path / "a").score([news("增长")])[0]
    assert isinstance(answer, Answer)
    assert answer.probabilities[1:4] == (0.0, 0.0, 0.0)
    student.about = {"target": "tone", "texts": 61}
    student.save(tmp_path / "b")
    assert StudentScorer(tmp_path / "a").name != StudentScorer(tmp_path / "b").name


def test_a_student_of_event_types_is_no_scorer(tmp_path: Path) -> None:
    student = make_linear()
    student.about = {"target": "class"}
    student.save(tmp_path)
    with pytest.raises(KestrelError, match="no tones"):
        StudentScorer(tmp_path)


def test_a_student_follows_its_teacher_where_nobody_labelled() -> None:
    texts, labels = corpus(300, 3)
    soft = np.full((300, 3), 0.1) + 0.7 * np.eye(3)[labels]
    student = make("linear")
    student.fit(texts, taught(soft))
    p_NC = student.predict(corpus(100, 3, seed=5)[0])
    assert 0.7 < p_NC.max(axis=1).mean() < 0.9  # as sure as the teacher, not surer
    assert json.dumps(student.about) == "{}"
