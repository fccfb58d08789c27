import pytest

from data.errors import KestrelError
from factors import operators as op
from factors import registry
from factors.expressions import COLUMNS, Expr, column
from factors.registry import FAMILIES, Factor, factor, library, select

close, amount, volume, raw_close = (column(name) for name in ("close", "amount", "volume", "raw_close"))


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factors that a test registers are gone after it."""
    library()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def register(name: str, expr: Expr, **options: bool) -> Factor:
    def define() -> Expr:
        """What it is."""
        return expr

    define.__name__ = name
    factor("technical", **options)(define)
    return library()[name]


def test_the_library_has_its_families_and_at_least_35_factors() -> None:
    found = library()
    assert len(found) >= 35
    assert {one.family for one in found.values()} == set(FAMILIES)
    assert [one.family for one in found.values()] == sorted((one.family for one in found.values()), key=FAMILIES.index)


def test_the_order_of_families_does_not_hang_on_what_was_imported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(library())
    monkeypatch.setattr(registry, "_REGISTRY", {name: one for family in FAMILIES[::-1] for name, one in library().items() if one.family == family})
    assert list(library()) == expected


def test_a_family_of_ones_own_comes_last() -> None:
    factor("astrology")(lambda: close / op.delay(close, 3))
    assert list(library().values())[-1].family == "astrology"


def test_every_factor_has_a_paragraph_and_is_unmoved_by_the_price_level_unless_it_says_so() -> None:
    for one in library().values():
        assert one.about.split("\n")[0].endswith((".", ")", "?")), one.name
        assert one.raw_only or (one.expr.scale is not None and one.expr.scale.invariant), one.name
        assert one.expr.needs <= set(COLUMNS)
        assert 0 <= one.expr.lookback <= 330


def test_no_two_factors_have_one_definition() -> None:
    assert len({one.expr for one in library().values()}) == len(library())


def test_a_registered_factor_is_found_by_its_name() -> None:
    mine = register("mine", close / op.delay(close, 3))
    assert mine.family == "technical"
    assert mine.about == "What it is."
    assert select(["mine"]) == [mine]


@pytest.mark.parametrize(
    "expr",
    [close, op.log(close), volume, amount / close, raw_close / close, amount / volume, -op.log(close) - op.log(close), op.log(close) > 0],
    ids=str,
)
def test_a_factor_of_the_price_level_or_mixing_raw_and_adjusted_columns_is_refused(expr: Expr) -> None:
    with pytest.raises(
        KestrelError, match=r"Factor leak = .* moves when a stock's price history is multiplied .* mixes adjusted columns with raw ones"
    ):
        register("leak", expr)
    assert "leak" not in library()


def test_a_price_level_may_be_declared_raw_only_and_then_needs_raw_prices() -> None:
    cheap = register("cheap", -close, raw_only=True)
    assert cheap.unavailable(["close"], "raw") is None
    assert cheap.unavailable(["close"], "adjusted") == "needs raw prices"
    assert cheap.unavailable([], "adjusted") == "needs bars"


def test_a_name_means_one_definition() -> None:
    register("mine", close / op.delay(close, 3))
    register("mine", close / op.delay(close, 3))
    with pytest.raises(KestrelError, match=r"A factor named mine exists already: .*Rename yours"):
        register("mine", close / op.delay(close, 4))


def test_what_a_lake_lacks_is_named_by_its_table() -> None:
    known = library()
    assert known["earnings_yield"].unavailable(["close"], "raw") == "needs caps.pe_ttm"
    assert known["dividend_yield"].unavailable(["close"], "raw") == "needs bars.raw_close, dividends"
    assert known["reversal_20"].unavailable(COLUMNS, "adjusted") is None


def test_unknown_names_are_refused_and_the_order_is_the_librarys() -> None:
    with pytest.raises(KestrelError, match=r"There is no factor reversal_21, alpha_1\. List them: kestrel factors list"):
        select(["reversal_21", "reversal_20", "alpha_1"])
    assert [one.name for one in select(["turnover_20", "reversal_20"])] == ["reversal_20", "turnover_20"]
    assert select() == list(library().values())
    assert select([]) == []


def test_sets_are_apart_and_their_factors_are_found_by_name_all_the_same() -> None:
    assert set(library()).isdisjoint(library(["alpha158"]))
    assert list(library(["alpha158", "library"]))[-1] == list(library())[-1]
    assert [one.name for one in select(["KMID", "reversal_20"])] == ["reversal_20", "KMID"]
    assert len(select(sets=["alpha158"])) == 158


def test_a_kernel_shared_by_kin_is_no_part_of_what_a_factor_is() -> None:
    one = select(["KMID"])[0]
    assert one.fused is not None
    assert one == Factor(one.name, one.family, one.about, one.expr)
