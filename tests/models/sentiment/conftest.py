"""What the tests of scorers share: the stub server, settings for it, and a few pieces of news."""

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from models.sentiment.answers import News
from models.sentiment.cache import Cache
from models.sentiment.server import ServerScorer, Surroundings
from models.sentiment.settings import SentimentSettings

NOON = datetime(2025, 2, 1, 12)  # R1 as at launch


@pytest.fixture(scope="session")
def stubs() -> ModuleType:
    """The module stub.py, which is a program too."""
    spec = importlib.util.spec_from_file_location("sentiment_stub", Path(__file__).with_name("stub.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sentiment_stub"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    found = Cache(tmp_path / "answers.db")
    yield found
    found.close()


@pytest.fixture
def scorer_of(cache: Cache) -> Callable[..., ServerScorer]:
    """Makes a scorer of a stub, given sections of settings that differ."""
    return lambda stub, **changes: _scorer(stub, cache, **changes)


def _scorer(stub: Any, cache: Cache, *, retry: bool = False, key: str = "", naps: list[float] | None = None, **sections: Any) -> ServerScorer:
    server = {"url": stub.url, "model": "deepseek-reasoner", "provider": "deepseek", "timeout": 2.0, "patience": 0.001, "longest": 0.01}
    raw = {**sections, "server": server | sections.get("server", {}), "thinking": {"cap": 32} | sections.get("thinking", {})}
    settings = SentimentSettings.model_validate(raw)

    async def sleep(seconds: float) -> None:
        if naps is not None:
            naps.append(seconds)
        await asyncio.sleep(min(seconds, 0.01))

    return ServerScorer(settings, cache, Surroundings(now=lambda: NOON, key=key, retry=retry, sleep=sleep))


@pytest.fixture
def pieces() -> list[News]:
    titles = ("净利润同比增长20%", "被立案调查", "召开股东大会", "签订合同3亿元", "预亏2亿元")
    return [News(str(place), f"60000{place}.SH", f"公司{place}", title) for place, title in enumerate(titles)]
