"""News is untrusted text: what is hidden, what controls a model and what gives it orders is cut out before anyone reads it.

Every step is one pass over characters; what was found is kept, so that a piece can be put aside with its reason.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 4000  # characters read of one text
MOST_CUT = 0.5  # a text of which more than this was cut is no news
# Full-width forms of ASCII, one character for one, so that places in the folded text are places in the text.
FOLD = {0xFF01 + place: 0x21 + place for place in range(94)} | {0x3000: 0x20, ord("｜"): ord("|"), ord("▁"): ord("_"), ord("﹤"): ord("<")}
HIDDEN = {"Cf", "Cc", "Co", "Cs", "Cn"}  # format (zero-width, bidi, tags), control, private, surrogate, unassigned

_CONTROLS = re.compile(
    r"<\s*\|[^<>|\n]{0,40}\|?\s*>"  # <|im_end|> and <｜User｜>, folded
    r"|<\s*/?\s*(?:think|thinking|answer|system|user|assistant|human|instructions?|prompt|news|tool_call|tool_response|s|bos|eos|sep)\b[^<>\n]{0,40}>"
    r"|\[\s*/?\s*(?:INST|SYS|SYSTEM|ASSISTANT|USER)\s*\]|<<\s*/?\s*SYS\s*>>|\{\{[^{}\n]{0,80}\}\}|```\w*"
    r"|^\s*#{2,}\s*(?:system|user|assistant|instructions?|response|系统|指令|回答)\b.*$",
    re.IGNORECASE | re.MULTILINE,
)
_CLAUSE = re.compile(r"[^，,。．；;！!？?\n|、—\"“”()（）【】\[\]{}]+")
_NUMBER = r"(?:[1-5](?![\d.%A-Za-z]|\s*[亿万千百元股家年月日倍个天次名只手条项])|[一二三四五](?=[分星级]|\s*$)|five\b|one\b|重大利[好空]|利[好空]\s*$|positive\b|negative\b)"
_ORDERS = re.compile(
    "|".join(
        (
            r"\b(?:ignor|disregard|forget|overrid|bypass|skip)\w*\b.{0,40}\b(?:above|previous|prior|earlier|preceding|instruction|rule|prompt|everything|all|news)",
            r"(?:忽略|无视|忘记|忘掉|不要理会|不必理会|别管|抛开|跳过|推翻|覆盖).{0,12}"
            r"(?:以上|上述|上面|上文|之前|前面|前文|此前|先前|所有|全部|任何|一切|指令|指示|规则|提示|要求|设定)",
            r"\b(?:answer|reply|respond|output|return|print|say|write|score|rate|rating|label|grade|choose|select|give)\w*\b\W{0,4}(?:\w+\W+){0,6}?"
            + _NUMBER,
            r"(?:回答|回复|答复|输出|返回|打印|打分|评分|评为|评成|评级?为|标签|标注为?|答案|得分|分数|选择|选|判为|判定为|score)"
            r"(?:[^\d一二三四五]{0,8}?)" + _NUMBER,
            r"^\s*(?:system|assistant|user|developer|human|ai|bot)\b\s*(?:prompt|message|note|override)?\s*(?:[:：]|$)",
            r"^\s*(?:系统|助手|用户|开发者|管理员)\s*(?:提示词?|消息|指令|通知|公告|命令)?\s*(?:[:：]|$)",
            r"\b(?:you are (?:now|a|an|no longer)|act as|pretend|roleplay|from now on|as an ai|new (?:instruction|task|rule)|system prompt|jailbreak|developer mode|do not think)",
            r"(?:从现在(?:起|开始)，?你|你现在是|你是一[个名位](?:AI|人工智能|助手|分析|评分|模型)|你的(?:任务|身份|角色|评分)|扮演|作为(?:一[个名位])?(?:AI|人工智能|语言模型|评分员|分析员)|新的?(?:指令|指示|任务|规则)|系统提示|提示词"
            r"|越狱|开发者模式|无需思考|不要思考|不用思考|停止思考|思考结束|请(?:你)?(?:务必|一定|直接|只|仅)?(?:给出|打分|输出|回答|回复|评分|评为|判为)|打(?:出|个|为|成)?[1-5]分|本(?:条|则)(?:新闻|消息)(?:的)?(?:评分|标签|应))",
            r"[\"']?(?:score|label|sentiment|rating|评分|情绪|标签)[\"']?\s*[:：=]\s*[\"']?" + _NUMBER,
            r"[A-Za-z0-9+/]{40,}={0,2}",  # encoded orders
        )
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text that is safe to show to a model, and what was cut: 'hidden characters', 'control strings', 'orders', 'length'."""

    text: str
    found: tuple[str, ...] = ()
    cut: float = 0.0  # share of the characters

    @property
    def quarantine(self) -> str | None:
        """Why the text is put aside, or None."""
        if not self.found:
            return None
        if not any(character.isalnum() for character in self.text):
            return f"nothing is left without its {' and '.join(self.found)}"
        return f"{self.cut:.0%} of it is {' and '.join(self.found)}" if self.cut > MOST_CUT and self.found != ("length",) else None


@lru_cache(maxsize=4096)
def cleaned(text: str) -> Cleaned:
    """The text without hidden characters, control strings and clauses that give orders to its reader; the rest is unchanged."""
    found = []
    whole = len(text)
    shown = text[: 4 * LONGEST] if text.isascii() else "".join(letter for letter in text[: 4 * LONGEST] if letter in "\n\t" or not hidden(letter))
    if text.isascii() and not text.isprintable():
        shown = "".join(letter for letter in shown if letter in "\n\t" or letter.isprintable())
    if len(shown) < min(whole, 4 * LONGEST):
        found.append("hidden characters")
    bare = _without_controls(shown)
    if bare != shown:
        found.append("control strings")
    plain = _without_orders(bare)
    if plain != bare:
        found.append("orders")
    if len(plain) > LONGEST or whole > 4 * LONGEST:
        found.append("length")
    kept = plain[:LONGEST].strip()
    return Cleaned(kept, tuple(found), 1 - len(kept) / len(text.strip()) if found and text.strip() else 0.0)


def quarantine(texts: Iterable[str]) -> str | None:
    """Why a piece made of these texts is put aside, or None."""
    texts = list(texts)
    reasons = [reason for text in texts if (reason := cleaned(text).quarantine)]
    if reasons:
        return f"quarantined: {reasons[0]}"
    return None if any(character.isalnum() for text in texts for character in text) else "quarantined: there is no text"


def hidden(letter: str) -> bool:
    """Whether a character shows nothing, or changes how its neighbours are shown."""
    return unicodedata.category(letter) in HIDDEN or "\ufe00" <= letter <= "\ufe0f" or letter in "\u115f\u1160\u3164\uffa0\u2800"


def _without_controls(text: str) -> str:
    """Cut until nothing is left to cut: what stands around a cut may make another control string."""
    while True:
        shorter = _cut(text, [found.span() for found in _CONTROLS.finditer(text.translate(FOLD))])
        if shorter == text:
            return text
        text = shorter


def _without_orders(text: str) -> str:
    """Cut clauses that speak to the reader instead of about a company; an order may run over a comma, so whole sentences are tried too."""
    folded = text.translate(FOLD)
    return _cut(text, [span for span in (clause.span() for clause in _CLAUSE.finditer(text)) if _ORDERS.search(folded[slice(*span)])])


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    """The text without these spans, which don't overlap and are in order."""
    kept, place = [], 0
    for start, end in spans:
        kept.append(text[place:start])
        place = end
    return "".join((*kept, text[place:]))
