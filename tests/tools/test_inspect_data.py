"""inspect_data.py as a user calls it: numbers to read and to keep, a sheet to look at, one sentence for bad paths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.convonet.layout import write_metadata
from sparse_convonet.data.convonet.samples import OccupancySamples, SurfaceSamples, write_occupancy, write_surface
from sparse_convonet.data.convonet.sidecar import write_frame
from sparse_convonet.data.furniture.library import FurnitureLibrary
from tests.data.convonet.small_set import POINTS, QUERIES, write_set
from tests.tools.running import exit_code, refusal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", models=3)


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert exit_code("inspect_data", *arguments) == 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out


def test_what_is_printed_is_what_is_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_metadata(root, {"a": "alder"})
    text = printed(capsys, root, "--split", "train", "--classes", "a")
    assert text.splitlines()[0] == "a (alder), train: 3 models"
    assert "3 present, 3 with occupancy, 0 broken; 3 read and measured" in text
    assert f"3 files per model, {POINTS} points per file, float16" in text
    assert f"3 files per model, {QUERIES} queries per file, float16" in text
    assert "points per square unit, by the 8th nearest neighbour" in text
    assert " m in the world" not in text and "classes of points" not in text
    assert text.splitlines()[-1] == f"{root}: models 3, present 3, broken 0, read and measured 3"


def test_the_file_holds_the_same_numbers(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in (root / "a").glob("m*"):
        write_frame(model, UnitFrame(np.zeros(3), 5.0))
    out = tmp_path / "numbers.json"
    text = printed(capsys, root, "--json", out)
    groups = json.loads(out.read_text())["groups"]
    assert [(each["category"], each["split"], each["listed"]) for each in groups] == [
        ("a", "train", 3), ("a", "val", 1), ("b", "train", 3), ("b", "val", 1),
    ]  # fmt: skip
    first, third = groups[0], groups[2]
    assert first["extent_m"][2] == pytest.approx(5 * first["extent_unit"][1]) and third["extent_m"] is None
    assert first["density_m2"] == pytest.approx(first["density_unit"] / 25) and third["density_m2"] is None
    radius = 0.21
    assert first["extent_unit"] == pytest.approx([2 * radius] * 3, rel=0.05)
    assert first["density_unit"] == pytest.approx(POINTS / (4 * np.pi * radius**2), rel=0.25)
    assert first["occupied"][0] <= first["occupied"][1] <= first["occupied"][2]
    assert first["step_unit"] == 2.0**-13 and first["normal_length"] == pytest.approx([1, 1], abs=1e-3)
    assert "m in the world, z up\n" in text and "per m2" in text


def test_broken_models_are_told_of_and_no_more(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("m0", "m1"):
        for file in (root / "a" / model / "pointcloud").iterdir():
            file.write_bytes(file.read_bytes()[:300])
    (root / "metadata.yaml").write_text("[")
    text = printed(capsys, root, "--split", "train", "--out", tmp_path / "sheet.png")
    assert "3 present, 3 with occupancy, 2 broken; 3 read and measured" in text
    assert f"    {root / 'a' / 'm0' / 'pointcloud'}" in text and "found damaged or truncated data" in text
    assert "models 6, present 6, broken 2, read and measured 6" in text
    assert f"models drawn in {tmp_path / 'sheet.png'}: 4" in text


def test_all_models_broken_is_told_and_no_sheet_made(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (root / "a").glob("*/pointcloud/*"):
        file.write_bytes(b"")
    assert "1 broken" in printed(capsys, root, "--classes", "a", "--split", "val")
    sheet = tmp_path / "sheet.png"
    message = refusal(capsys, "inspect_data", root, "--classes", "a", "--out", sheet)
    assert "expected at least one model that can be read" in message and not sheet.exists()


def test_the_same_seed_draws_the_same_sheet(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        printed(capsys, root, "--samples", 2, "--out", tmp_path / f"{name}.png", "--seed", seed)
    first, again, other = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert first == again != other


def test_a_furnished_room_is_drawn_and_measured_in_metres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = make_room(3, FurnitureLibrary.load())
    frame, rng = UnitFrame.around(scene.bounds), np.random.default_rng(0)
    folder = tmp_path / "rooms" / "room"
    folder.mkdir(parents=True)
    points, normals = scene.sample_surface(20_000, rng)
    surface = SurfaceSamples(frame.to_unit(points), UnitFrame(np.zeros(3), 1.0).to_unit(normals))
    write_surface(folder / "pointcloud.npz", surface)
    queries = rng.uniform(scene.bounds[0], scene.bounds[1], (20_000, 3))
    inside = scene.occupied(queries)
    write_occupancy(folder / "points_iou.npz", OccupancySamples(frame.to_unit(queries), inside))
    write_frame(folder, frame)
    sheet, numbers = tmp_path / "sheet.png", tmp_path / "numbers.json"
    text = printed(capsys, folder, "--out", sheet, "--json", numbers)
    (found,) = json.loads(numbers.read_text())["groups"]
    assert found["extent_m"] == pytest.approx(np.ptp(scene.bounds, axis=0).tolist(), abs=0.06)
    assert found["occupied"] == [pytest.approx(float(inside.mean()))] * 3
    assert found["noise_m"] < 0.002 and "rooms, no list: 1 model" in text
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture).astype(int)
    assert picture.size[0] > 700 and (np.ptp(pixels, axis=2) > 30).mean() > 0.05  # coloured by height


def test_bad_arguments_are_one_sentence(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "found nothing; check the path" in refusal(capsys, "inspect_data", tmp_path / "missing")
    assert "expected a split of: train, val, found 'test'" in refusal(capsys, "inspect_data", root, "--split", "test")
    assert "expected a class of: a, b, found 'z'" in refusal(capsys, "inspect_data", root, "--classes", "z")
    assert "--samples: expected 1 to 200, found 0" in refusal(capsys, "inspect_data", root, "--samples", 0)
    assert "--seed: expected a whole number from 0" in refusal(capsys, "inspect_data", root, "--seed", -1)
    for option in ("--out", "--json"):
        path = tmp_path / "kept"
        path.write_text("precious")
        assert "exists already; pass --overwrite" in refusal(capsys, "inspect_data", root, option, path)
        assert path.read_text() == "precious"
        assert "create it first" in refusal(capsys, "inspect_data", root, option, tmp_path / "no" / "file")
        printed(capsys, root, option, path, "--overwrite", "--samples", 1)
        assert path.read_bytes() != b"precious"
