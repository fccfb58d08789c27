"""Picture: an exam as one HTML page that needs nothing else: its figures, what was taken for what, and how often the sure are right."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from models.sentiment.evaluation import Bin
from pipelines.checkup import STYLE
from pipelines.exam import Exam
from pipelines.runs import write_text

SIZE, EDGE = 320, 40  # of the plot, and of the margin that its numbers stand in
MORE = (
    "table.taken td{text-align:right}table.taken td.name,table.taken th{text-align:left;font-weight:400}"
    "h2{font-size:18px;margin:2rem 0 .4rem}svg{display:block}"
)


def write_picture(path: Path, exam: Exam) -> None:
    """Write the page of an exam."""
    title = escape(f"{exam.who} against the {exam.against}s")
    write_text(
        path,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}{MORE}</style><h1>{title}</h1>'
        f"<p>Figures with 95 % intervals.</p>{_figures(exam)}"
        f"<h2>What was taken for what</h2><p>Rows: the {exam.against}. Columns: the most probable answer. Shade: share of the row.</p>{_taken(exam)}"
        f"<h2>How often the sure are right</h2><p>Across: the probability of the answer. Up: the share that agrees with the {exam.against}. "
        f"On the dashed line a probability means what it says; a dot's area is its number of texts.</p>{_curve(exam.bins)}</html>\n",
    )


def _figures(exam: Exam) -> str:
    cells = [[_number(row.get(name)) for name in ("value", "low", "high")] for row in exam.rows]
    body = "".join(
        f"<tr><td>{escape(row['figure'])}</td>{''.join(f'<td class=number>{cell}</td>' for cell in line)}</tr>"
        for row, line in zip(exam.rows, cells, strict=True)
    )
    return f"<table><tr><th></th><th>value</th><th>low</th><th>high</th></tr>{body}</table>"


def _taken(exam: Exam) -> str:
    """The confusion matrix as a shaded table."""
    share_CC = exam.taken_CC / np.maximum(exam.taken_CC.sum(axis=1, keepdims=True), 1)
    lines = []
    for name, counts, shares in zip(exam.classes, exam.taken_CC.tolist(), share_CC.tolist(), strict=True):
        cells = "".join(
            f'<td style="background:rgba(31,91,168,{share:.3f});color:{"#fff" if share > 0.5 else "inherit"}" title="{share:.1%}">{count}</td>'
            for count, share in zip(counts, shares, strict=True)
        )
        lines.append(f'<tr><td class="name">{escape(name)}</td>{cells}</tr>')
    heads = "".join(f"<th>{escape(name)}</th>" for name in exam.classes)
    return f'<table class="taken"><tr><th></th>{heads}</tr>{"".join(lines)}</table>'


def _curve(bins: Sequence[Bin]) -> str:
    """The share that is right by probability, as SVG."""
    texts = sum(one.texts for one in bins)
    places = [(EDGE + SIZE * one.sure, EDGE / 2 + SIZE * (1 - one.right), one) for one in bins]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{max(2.0, 24 * (one.texts / texts) ** 0.5):.1f}" fill="#1f5ba8" fill-opacity=".55">'
        f"<title>{one.texts} texts: {one.sure:.3f} sure, {one.right:.3f} right</title></circle>"
        for x, y, one in places
    )
    ticks = "".join(
        f'<text x="{EDGE + SIZE * at:.0f}" y="{EDGE / 2 + SIZE + 16:.0f}" text-anchor="middle">{at:g}</text>'
        f'<text x="{EDGE - 6}" y="{EDGE / 2 + SIZE * (1 - at) + 4:.0f}" text-anchor="end">{at:g}</text>'
        for at in (0, 0.25, 0.5, 0.75, 1)
    )
    low, high = EDGE / 2 + SIZE, EDGE / 2
    return (
        f'<svg width="{SIZE + 2 * EDGE}" height="{SIZE + 2 * EDGE}" font-size="11" fill="#66717d" role="img" aria-label="calibration curve">'
        f'<rect x="{EDGE}" y="{high}" width="{SIZE}" height="{SIZE}" fill="none" stroke="#e1e5e9"/>'
        f'<line x1="{EDGE}" y1="{low}" x2="{EDGE + SIZE}" y2="{high}" stroke="#66717d" stroke-dasharray="4 4"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f5ba8"/>{dots}{ticks}</svg>'
    )


def _number(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
