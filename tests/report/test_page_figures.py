from __future__ import annotations

from typing import Any

from sparse_convonet.report.page_figures import Figure, choices_of, figures_of


def report(**changes: Any) -> dict[str, Any]:
    """What report.json says of a run."""
    return {
        "input": {
            "files": ["a.laz", "b.laz"],
            "points_read": 1_000_500,
            "points_used": 1_000_000,
            "dropped": {"not_finite": 0, "duplicates": 500},
            "up": "y",
            "up_confidence": 0.812,
            "scale": 0.001,
            "units": {"name": "millimetres", "declared": True},
            "extent": [12000.0, 3000.0, 8000.0],
            "spacing": 14.0,
        },
        "voxel_size_m": 0.08,
        "voxel_reason": "the median voxel holds 3 points",
        "cell_size_m": 0.04,
        "threshold": 0.5,
        "tiles": {"count": 1, "edge_voxels": None},
        "seconds": {"total": 93.4},
        "peak_memory_bytes": 1_190_000_000,
        "mesh": {"vertices": 100, "faces": 200, "area_m2": 1234.5, "components": 3, "watertight": True},
        "light_mesh": {
            "faces": 50, "allowed_error_m": 0.01, "within_68_m": 0.004, "within_95_m": 0.0092, "largest_m": 0.056,
        },
        "coverage": {"within_1_cell": 0.963, "within_1_voxel": 0.994},
        "sides": None,
        "model": {"name": "building", "file_threshold": 0.5},
        "versions": {"sparse_convonet": "0.1.0"},
        **changes,
    }  # fmt: skip


def by_label(rows: list[Figure]) -> dict[str, tuple[str, str]]:
    found = {row.label: (row.value, row.reason) for row in rows}
    assert len(found) == len(rows)
    return found


def test_figures_are_in_metres_with_what_was_left_out() -> None:
    found = by_label(figures_of(report()))
    assert found["Scan"][0] == "a.laz, b.laz"
    assert found["Points"] == ("1,000,000 of 1,000,500 read", "left out: 500 duplicates")
    assert found["Extent"][0] == "12.0 × 3.0 × 8.0 m" and found["Distance between points"][0] == "14 mm"
    assert found["Connected pieces"][0] == "3, watertight" and found["Surface"][0] == "1,234 m²"
    assert found["Points within one cell of the mesh"][0] == "96.3 %"
    assert found["Light mesh"][1] == "95 % of the mesh within 9.2 mm of it, the farthest 56 mm"
    assert "Rays of the scanner" not in found
    sides = {"rays": 2000, "early": 0.01, "through": 0.02}
    assert by_label(figures_of(report(sides=sides)))["Rays of the scanner"][0] == "1.0 % end early, 2.0 % go through"
    assert "Light mesh" not in by_label(figures_of(report(light_mesh=None)))


def test_the_certificate_is_told_by_storey_where_there_are_several() -> None:
    low = {"observed": 0.5, "error_68_mm": 4.0, "error_95_mm": 12.0, "level_of_accuracy": "LOA30"}
    guessed = {"observed": 0.0, "error_68_mm": None, "error_95_mm": None, "level_of_accuracy": None}
    one = {**low, "storeys": [low], "does_not_cover": "its place"}
    found = by_label(figures_of(report(certificate=one)))
    assert found["Surface that was seen"][0] == "50 %"
    assert found["Expected error of that"] == ("68 % within 4.0 mm, 95 % within 12.0 mm (LOA30)", "")
    assert found["Not in that error"][0] == "its place"
    beyond = {**one, "guessed_because": ["voxels: measured from 4 to 12 cm, found 20 cm"]}
    reason = by_label(figures_of(report(certificate=beyond)))["Expected error of that"][1]
    assert reason == "guesses: voxels: measured from 4 to 12 cm, found 20 cm"
    two = {**one, "storeys": [low, guessed]}
    reason = by_label(figures_of(report(certificate=two)))["Expected error of that"][1]
    assert reason == "storey 1: 68 % within 4.0 mm, 95 % within 12.0 mm (LOA30); storey 2: none can be told"


def test_choices_say_why() -> None:
    found = by_label(choices_of(report()))
    assert found["Up axis"] == ("y", "guessed from the points, confidence 0.81 of 1")
    assert found["Unit of the scan"] == ("0.001 m", "the file declares millimetres")
    assert found["Voxels"] == ("0.08 m", "the median voxel holds 3 points")
    assert found["Threshold of the surface"] == ("0.5", "that of the model")
    assert found["Worked on"][0] == "in one piece"
    given = {**report()["input"], "up_confidence": None, "units": {"name": "metres", "declared": False}}
    asked = by_label(choices_of(report(input=given, threshold=0.4, tiles={"count": 12, "edge_voxels": 512})))
    assert asked["Up axis"][1] == "as asked" and asked["Unit of the scan"][1] == "the file declares no unit"
    assert asked["Threshold of the surface"] == ("0.4", "as asked") and asked["Worked on"][0] == "in 12 tiles"
