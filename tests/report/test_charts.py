from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_convonet.report.charts import Curve, write_bars, write_curves
from sparse_convonet.report.label_places import Obstacles, Rectangle, best_place, rows_apart

pytest.importorskip("matplotlib")

BLUE, VERMILLION = (0, 114, 178), (213, 94, 0)
ALONE = Curve("sparse", (1.0, 10.0, 100.0), (1.0, 2.0, 4.0), None)
FAILED = Curve("dense", (1.0, 10.0), (1.0, 30.0), "no more memory", 50.0)


def _picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.int64)


def _bars(folder: Path, names: list[str], columns: dict) -> np.ndarray:
    write_bars(folder / "bars.png", names, columns)
    return _picture(folder / "bars.png")


def _curves(folder: Path, curves: list[Curve], **settings: object) -> np.ndarray:
    write_curves(folder / "curves.png", curves, x_label="points", y_label="s", **settings)  # type: ignore[arg-type]
    return _picture(folder / "curves.png")


def _lengths(picture: np.ndarray, colour: tuple[int, int, int]) -> list[int]:
    """Pixels along each bar of a colour in its middle row, from the left to the right."""
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    middle = columns[rows == np.bincount(rows).argmax()]
    return [len(part) for part in np.split(np.sort(middle), np.flatnonzero(np.diff(np.sort(middle)) > 1) + 1)]


def test_bars_are_as_long_as_their_values_and_a_name_keeps_its_colour(tmp_path: Path) -> None:
    picture = _bars(tmp_path, ["sparse", "dense"], {"IoU": [0.8, 0.4], "s": [30.0, 60.0]})
    (first, second), (third, fourth) = _lengths(picture, BLUE), _lengths(picture, VERMILLION)
    assert first / third == pytest.approx(2, abs=0.03)
    assert fourth / second == pytest.approx(2, abs=0.03)
    assert first == pytest.approx(fourth, abs=2)  # every chart has a scale of its own


def test_what_is_not_known_has_no_bar_but_a_dash(tmp_path: Path) -> None:
    missing = _bars(tmp_path, ["sparse", "dense"], {"IoU": [0.8, None]})
    assert not (missing == VERMILLION).all(axis=2).any()
    zero = _bars(tmp_path, ["sparse", "dense"], {"IoU": [0.8, 0.0]})
    assert (missing != zero).any()  # "-" is not "0"
    np.testing.assert_array_equal(missing, _bars(tmp_path, ["sparse", "dense"], {"IoU": [0.8, float("nan")]}))
    assert (_bars(tmp_path, ["a"], {"IoU": [None]}) < 250).any()


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_charts_fill_a_grid_and_no_words_reach_its_border(count: int, tmp_path: Path) -> None:
    names = ["a name that is so long that it has to be wrapped to stay readable " * 2, "$b_2$ 5"]
    picture = _bars(tmp_path, names, {f"column {n}": [1.0, 123456.0] for n in range(count)})
    assert len(_lengths(picture, VERMILLION)) <= 3
    for border in (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]):
        assert (border == 255).all()


@pytest.mark.parametrize(
    ("names", "columns", "sentence"),
    [
        ([], {"IoU": []}, "found 0 names and 1 columns"),
        (["a"], {}, "found 1 names and 0 columns"),
        (["a", "b"], {"IoU": [1.0]}, "bars, IoU: expected 2 values, one per name, found 1"),
    ],
)
def test_bars_that_do_not_fit_their_names_are_refused(
    names: list[str], columns: dict, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        write_bars(tmp_path / "bars.png", names, columns)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_adds_a_cross_and_a_line_where_it_happened(tmp_path: Path) -> None:
    at_50 = _curves(tmp_path, [FAILED, ALONE])
    at_20 = _curves(tmp_path, [Curve("dense", FAILED.x, FAILED.y, "no more memory", 20.0), ALONE])
    without = _curves(tmp_path, [Curve("dense", FAILED.x, FAILED.y, None), ALONE])

    def dotted(picture: np.ndarray) -> int:
        """The column with most of the colour below the middle, where the curve itself is steep and thin."""
        return int((picture[500:] == BLUE).all(axis=2).sum(axis=0).argmax())

    def coloured(picture: np.ndarray) -> int:
        return int((picture == BLUE).all(axis=2).sum())

    assert coloured(at_50) > coloured(without) + 300
    columns = np.log10([100 / 1])  # decades that the x axis spans between its first and last measurement
    per_decade = (dotted(at_50) - dotted(at_20)) / np.log10(50 / 20)
    assert 0.7 * 1440 * 0.895 / columns[0] < per_decade < 1440 * 0.895 / columns[0]


def test_a_limit_runs_across(tmp_path: Path) -> None:
    dark = (_curves(tmp_path, [ALONE], limit=8.0, limit_name="memory allowed") < 60).all(axis=2)
    plain = (_curves(tmp_path, [ALONE]) < 60).all(axis=2)
    assert dark.sum(axis=1).max() > 700  # dashes
    assert plain.sum(axis=1).max() < 400


@pytest.mark.parametrize("log", [True, False])
def test_every_method_may_have_failed_at_once(log: bool, tmp_path: Path) -> None:
    curves = [Curve(f"method {n}", (), (), "600 s were not enough", 10.0) for n in range(7)]
    picture = _curves(tmp_path, curves, log=log)
    assert (picture[:2] == 255).all()
    assert (picture[:, -2:] == 255).all()
    assert (picture == BLUE).all(axis=2).any()


def test_one_measurement_and_zeros_on_plain_axes_are_drawn(tmp_path: Path) -> None:
    assert (_curves(tmp_path, [Curve("a", (1.0,), (1.0,), None)]) == BLUE).all(axis=2).any()
    assert (_curves(tmp_path, [Curve("a", (0.0,), (0.0,), None)], log=False) == BLUE).all(axis=2).any()


@pytest.mark.parametrize(
    ("x", "y", "end", "end_x", "sentence"),
    [
        ((1.0, 2.0), (1.0,), None, None, "curve a: expected as many x as y, found 2 and 1"),
        ((1.0,), (float("nan"),), None, None, "curve a: expected finite numbers"),
        ((1.0,), (1.0,), "no more memory", float("inf"), "curve a: expected finite numbers"),
        ((), (), None, None, "curve a: expected measurements, or why and where it failed"),
        ((), (), "no more memory", None, "curve a: expected measurements, or why and where it failed"),
    ],
)
def test_curves_that_say_nothing_are_refused(
    x: tuple[float, ...], y: tuple[float, ...], end: str | None, end_x: float | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Curve("a", x, y, end, end_x)


def test_logarithmic_axes_refuse_zero_and_name_it(tmp_path: Path) -> None:
    for curves, limit in (([Curve("a", (1.0,), (0.0,), None)], None), ([ALONE], -1.0)):
        with pytest.raises(ValueError, match="above 0 for logarithmic axes, found (0|-1)"):
            _curves(tmp_path, curves, limit=limit)
    with pytest.raises(ValueError, match="expected at least one"):
        _curves(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_matplotlib_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (lambda: _bars(tmp_path, ["a"], {"IoU": [1.0]}), lambda: _curves(tmp_path, [ALONE])):
        with pytest.raises(ValueError, match=r"drawing charts needs .*matplotlib.*run: pip install .*matplotlib"):
            draw()


def test_pyplot_is_not_loaded(tmp_path: Path) -> None:
    before = "matplotlib.pyplot" in sys.modules
    _curves(tmp_path, [ALONE])
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_label_goes_where_it_covers_least() -> None:
    frame = Rectangle(0, 0, 100, 100)
    on_line, outside, on_label, free = (Rectangle(x, 40, x + 10, 60) for x in (0, 95, 50, 70))
    line = Obstacles.along(np.array([[0.0, 50.0], [20.0, 50.0]]), cost=10.0)
    labels = [Rectangle(45, 45, 55, 55)]
    assert best_place([on_line, outside, on_label, free], line, labels, frame) == 3
    assert best_place([free, Rectangle(80, 40, 90, 60)], line, labels, frame) == 0
    assert best_place([outside, on_label, on_line], line, labels, frame) == 2


def test_rows_keep_words_apart_and_leave_later_ones_above() -> None:
    assert rows_apart([(0, 10), (20, 30), (5, 25)], gap=1) == [0, 0, 1]
    assert rows_apart([(0, 10), (5, 15), (12, 20)], gap=1) == [0, 1, 2]
    assert rows_apart([(0, 10), (10.5, 20)], gap=1) == [0, 1]
    assert rows_apart([], gap=1) == []
