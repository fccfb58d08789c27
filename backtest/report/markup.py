"""Pieces of HTML with every text escaped, JSON that may stand inside a page, and the page that holds them."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from backtest.report.labels import Lang


@dataclass(frozen=True)
class Card:
    """One card of a page: a title, a note, and figures or ready HTML.  heads: a caption for each of several small figures."""

    title: str
    note: str = ""
    figures: Sequence[dict[str, Any]] = ()
    html: str = ""
    wide: bool = False
    heads: Sequence[str] = ()


def whole(title: str, lede: str, cards: Sequence[Card], *, top: str = "", footer: str = "", lang: Lang = "en") -> str:
    """A page that needs no network: plotly's script, the look and every number are inside.  top: ready HTML above the cards."""
    from plotly.offline import get_plotlyjs

    body, specs = grid(cards)
    here = Path(__file__).parent
    return f"""<!doctype html>
<html lang="{"zh-CN" if lang == "zh" else "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{(here / "report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1><p class="lede">{escape(lede)}</p></header>
{top}
<div class="grid">
{body}
</div>
<footer>{escape(footer)}</footer>
</main>
<script type="application/json" id="figures">{inside_script(json.dumps(clean(specs), allow_nan=False, separators=(",", ":")))}</script>
<script>{get_plotlyjs()}</script>
<script>{(here / "report.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def tiles(shown: Sequence[tuple[str, str]]) -> str:
    """(label, text) as large figures beside each other, the first in front."""
    found = [
        f'<div class="tile{"" if i else " lead"}"><b>{escape(text)}</b><span>{escape(label)}</span></div>' for i, (label, text) in enumerate(shown)
    ]
    return f'<div class="tiles">{"".join(found)}</div>'


def grid(cards: Sequence[Card]) -> tuple[str, list[dict[str, Any]]]:
    """(the cards as HTML, their figures in order): figure i belongs into the element `plot<i>`."""
    parts: list[str] = []
    specs: list[dict[str, Any]] = []
    for card in cards:
        places = []
        for i, spec in enumerate(card.figures):
            head = f"<h3>{escape(card.heads[i])}</h3>" if card.heads else ""
            places.append(f'<div>{head}<div class="plot" id="plot{len(specs)}" style="height:{spec["layout"]["height"]}px"></div></div>')
            specs.append(spec)
        inside = f'<div class="multiples">{"".join(places)}</div>' if card.heads else "".join(places)
        parts.append(section(card.title, card.note, inside + card.html, wide=card.wide))
    return "\n".join(parts), specs


def paragraph(text: str) -> str:
    """A plain sentence in a card."""
    return f'<p class="plain">{escape(text)}</p>'


def section(title: str, note: str, inside: str, *, wide: bool = False) -> str:
    """A card with a title, a line below it, and ready HTML inside."""
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section{' class=' + chr(34) + 'wide' + chr(34) if wide else ''}><h2>{escape(title)}</h2>{below}{inside}</section>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False, texts: int = 1, tall: bool = False) -> str:
    """A table of texts; the first `texts` columns are words, the others numbers.  words: long texts wrap.  tall: it scrolls."""
    look = ["" if i >= texts else ' class="text"' for i in range(max([len(heads), *map(len, rows)]))]
    head = "".join(f"<th{look[i]}>{escape(text)}</th>" for i, text in enumerate(heads) if any(heads))
    body = "".join(f"<tr>{''.join(f'<td{look[i]}>{escape(text)}</td>' for i, text in enumerate(row))}</tr>" for row in rows)
    kind = ' class="words"' if words else ""
    return f'<div class="scroll{" tall" if tall else ""}"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def form(value: float, pattern: str) -> str:
    """A number with a true minus sign; a dash where there is none."""
    return format(value, pattern).replace("-", "−") if math.isfinite(value) else "–"


def inside_script(text: str) -> str:
    """JSON that can't end the script element it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def clean(value: Any) -> Any:
    """The same tree with null for every number that isn't finite."""
    if isinstance(value, dict):
        return {key: clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
