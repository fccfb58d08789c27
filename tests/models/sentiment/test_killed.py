"""A scoring run that is killed at any point goes on where it was: nothing answered is paid for again, and the cap holds throughout."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from models.sentiment.cache import Cache

ROOT = Path(__file__).parents[3]
CAP = 2.0
CLIENT = f"""
import sys
from datetime import datetime
from models.sentiment.answers import Answer, News
from models.sentiment.cache import Cache
from models.sentiment.server import ServerScorer, Surroundings
from models.sentiment.settings import SentimentSettings

server = {{"url": sys.argv[1], "model": "deepseek-reasoner", "provider": "deepseek", "patience": 0.001, "longest": 0.002, "timeout": 2.0}}
settings = SentimentSettings.model_validate({{
    "server": server, "thinking": {{"cap": 24}}, "calibration": {{"contextual": False}}, "spending": {{"cap": {CAP}}}
}})
scorer = ServerScorer(settings, Cache(sys.argv[2]), Surroundings(now=lambda: datetime(2025, 2, 1, 12)))
news = [News(str(place), "600000.SH", "公司", f"签订合同{{place}}亿元") for place in range(int(sys.argv[3]))]
print("ready", flush=True)
found = scorer.score(news)
print(sum(isinstance(answer, Answer) for answer in found), scorer.stopped, flush=True)
"""


def start(url: str, file: Path, pieces: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CLIENT, url, str(file), str(pieces)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("pieces", "rounds"), [(50, 2), pytest.param(150, 6, marks=pytest.mark.slow)])
def test_killed_at_random_points_a_run_completes_within_its_cap_and_pays_no_answer_twice(
    stubs: ModuleType, tmp_path: Path, pieces: int, rounds: int
) -> None:
    chance, file, kills = random.Random(3), tmp_path / "answers.db", 0
    with stubs.Stub(stubs.random_faults(0.1), delay=0.01) as stub:
        for _ in range(rounds):
            client = start(stub.url, file, pieces)
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
            # at most so many that a few rounds leave something to be killed
            last = stub.requests + chance.randint(1, 2 * pieces // rounds)
            while stub.requests < last and client.poll() is None:
                time.sleep(0.001)
            client.send_signal(signal.SIGKILL)
            kills += client.wait() == -signal.SIGKILL
            client.stdout.close()
        client = start(stub.url, file, pieces)
        done, _, stopped = client.communicate(timeout=60)[0].split("\n")[1].partition(" ")
        assert (int(done), stopped) == (pieces, "None")
        assert kills > rounds / 2
        cache = Cache(file)
        bill = cache.bill()[0]
        unseen = cache._db.execute("SELECT count(*) FROM calls WHERE outcome = 'open'").fetchone()[0]
        kept = cache._db.execute("SELECT count(*) FROM answers").fetchone()[0]
        cache.close()
        assert stub.bill <= round(float(bill["spent_cny"]) * 1e6) <= CAP * 1e6
        again = sum(count - 1 for count in stub.answers.values() if count > 1)
        assert again <= unseen + sum(stub.asked.values()) - len(stub.asked)
        settled = [json.loads(body) for body in answers_of(file)]
        assert kept >= pieces
        assert sum(found.get("cost", 0) > 0 for found in settled) >= pieces
        assert again <= unseen, "only a call whose end nobody saw is asked again after its answer"


def answers_of(file: Path) -> list[str]:
    cache = Cache(file)
    found = [row[0] for row in cache._db.execute("SELECT body FROM answers")]
    cache.close()
    return found
