from pathlib import Path

from backtest import choices, fills
from backtest.sessions import run
from factors.cached import digest


def test_cache_of_the_simulation_is_stamped_with_every_file_it_is_made_of(tmp_path):
    assert run._cache._cache_file._source_stamp == digest(
        *(
            str(Path(fills.__file__).with_name(f"{name}.py"))
            for name in ("sessions", "choices", "costs", "fees", "fills", "parcels", "quotes", "strategies")
        )
    )
    copy = tmp_path / "fills.py"
    copy.write_bytes(Path(fills.__file__).read_bytes() + b"\n# a change\n")
    assert digest(str(choices.__file__), str(fills.__file__)) != digest(str(choices.__file__), str(copy))
