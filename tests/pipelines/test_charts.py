"""Plots are well-formed SVG that holds what it was given."""

from xml.etree import ElementTree

import pytest

from pipelines.charts import bars, heat

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_high_as_their_values() -> None:
    page = ElementTree.fromstring(bars(["2019", "2020"], {"a & b": [0.02, 0.04], "c": [-0.02, float("nan")]}, title="<IC>"))
    boxes = [box for box in page.iter(f"{SVG}rect") if box.find(f"{SVG}title") is not None]
    heights = [float(box.attrib["height"]) for box in boxes]
    assert len(boxes) == 3
    assert heights[1] == pytest.approx(heights[0], abs=0.2)
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.2)
    assert float(boxes[1].attrib["y"]) == pytest.approx(float(boxes[0].attrib["y"]) + heights[0], abs=0.2)
    texts = [text.text for text in page.iter(f"{SVG}text")]
    assert {"<IC>", "a & b", "c", "2019", "2020", "0", "0.02", "−0.02"} <= set(texts)


def test_a_heat_map_has_a_cell_and_a_number_for_each_known_value() -> None:
    page = ElementTree.fromstring(heat(["one", "two"], ["low", "high"], [[0.5, -0.25], [float("nan"), 0.0]], title="load"))
    assert [cell.attrib["fill-opacity"] for cell in page.iter(f"{SVG}rect")] == ["0.850", "0.425", "0.000"]
    assert {"+0.500", "−0.250", "+0.000", "one", "high"} <= {text.text for text in page.iter(f"{SVG}text")}
    assert bars([], {}, title="none") == bars([], {}, title="none")
