"""Renderings of a model: pictures and cameras by number, exact where the format is, refused where they are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sparse_convonet.data.convonet.renderings import View, count_views, find_views, read_view, write_views
from tests.io.made_archives import refusal

SIZE = 137


def smooth_picture(shift: int) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.stack([rows, columns, np.full((SIZE, SIZE), 9 * shift)], axis=2).astype(np.uint8)


def some_views(count: int) -> list[View]:
    rng = np.random.default_rng(0)
    cameras = [(rng.normal(size=(3, 4)), rng.normal(size=(3, 3))) for _ in range(count)]
    return [View(smooth_picture(index), *pair) for index, pair in enumerate(cameras)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "img_choy2016"


def first_view(folder: Path) -> View:
    return read_view(folder, 0)


@pytest.mark.parametrize(("suffix", "error"), [(".png", 0), (".jpg", 4)])
def test_views_come_back_by_their_number(folder: Path, suffix: str, error: int) -> None:
    views = some_views(24)
    write_views(folder, views, suffix)
    assert count_views(folder) == 24
    for index in (0, 2, 10, 23):
        found, written = read_view(folder, index), views[index]
        assert found.image.shape == (SIZE, SIZE, 3) and found.image.dtype == np.uint8
        assert np.abs(found.image.astype(int) - written.image).max() <= error
        for name in ("world_to_camera", "intrinsics"):
            assert getattr(found, name).dtype == np.float32
            assert np.array_equal(getattr(found, name), getattr(written, name).astype(np.float32))


def test_the_papers_loader_reads_what_is_written(folder: Path) -> None:
    views = some_views(3)
    write_views(folder, views)
    assert sorted(path.name for path in folder.glob("*.jpg")) == ["000.jpg", "001.jpg", "002.jpg"]
    with np.load(folder / "cameras.npz") as cameras:
        assert set(cameras.files) == {f"{kind}_mat_{index}" for kind in ("world", "camera") for index in range(3)}
        assert np.array_equal(cameras["world_mat_1"].astype(np.float32), views[1].world_to_camera.astype(np.float32))
    with Image.open(folder / "000.jpg") as picture:
        assert picture.convert("RGB").size == (SIZE, SIZE)


def test_grey_palette_and_transparent_pictures_become_three_channels_on_white(folder: Path) -> None:
    write_views(folder, some_views(5), ".png")
    (folder / "001.png").unlink()
    rgb = Image.fromarray(smooth_picture(3))
    grey = rgb.convert("L")
    grey.save(folder / "001.jpg", quality=100)
    grey.save(folder / "000.png")
    rgba = np.dstack([smooth_picture(3), np.full((SIZE, SIZE), 255, dtype=np.uint8)])
    rgba[:10, :, 3], rgba[10:20, :, 3] = 0, 51
    Image.fromarray(rgba).save(folder / "002.png")
    Image.fromarray(rgba[..., [0, 3]], "LA").save(folder / "003.png")
    rgb.quantize(4).save(folder / "004.png", transparency=0)
    for index in (0, 1):
        image = read_view(folder, index).image
        assert np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2])
        assert np.abs(image[..., 0].astype(int) - np.asarray(grey)).max() <= 3 * index
    image = read_view(folder, 2).image
    assert np.array_equal(image[20:], smooth_picture(3)[20:]) and (image[:10] == 255).all()
    blended = 255 * 0.8 + 0.2 * smooth_picture(3)[10:20]
    assert np.abs(image[10:20] - blended).max() <= 1
    assert (read_view(folder, 3).image[:10] == 255).all()
    palette = read_view(folder, 4).image
    assert palette.shape == (SIZE, SIZE, 3) and (palette == 255).all(axis=2).any()


def test_numbers_must_run_from_zero_without_a_gap(folder: Path) -> None:
    with pytest.raises(ValueError, match="expected a folder of renderings, found none"):
        find_views(folder)
    write_views(folder, some_views(3))
    (folder / "notes.jpg").touch()
    assert [path.name for path in find_views(folder)] == ["000.jpg", "001.jpg", "002.jpg"]
    for index in (-1, 3):
        with pytest.raises(ValueError, match=f"expected a view of 0 to 2, found {index}; choose another"):
            read_view(folder, index)
    (folder / "001.png").touch()
    assert "found 000, 001, 001, 002; complete" in refusal(find_views, folder)
    (folder / "001.png").unlink()
    (folder / "001.jpg").unlink()
    assert "expected pictures 000.jpg, 001.jpg, ..., found 000, 002; complete" in refusal(find_views, folder)
    for name in ("000.jpg", "002.jpg"):
        (folder / name).unlink()
    assert "found none; complete" in refusal(find_views, folder)


@pytest.mark.parametrize(
    ("cameras", "message"),
    [
        ({"camera_mat_0": np.eye(3)}, "expected an array 'world_mat_0', found camera_mat_0"),
        ({"world_mat_0": np.eye(4), "camera_mat_0": np.eye(3)}, "expected 'world_mat_0' of shape (3, 4)"),
        ({"world_mat_0": np.eye(3, 4), "camera_mat_0": np.eye(3) * np.nan}, "'camera_mat_0' of shape (3, 3) with fin"),
        ({"world_mat_0": np.eye(3, 4), "camera_mat_0": np.array([[{}]])}, "found pickled objects"),
    ],
)
def test_wrong_cameras_are_refused_with_the_cause(folder: Path, cameras: dict, message: str) -> None:
    write_views(folder, some_views(1))
    np.savez(folder / "cameras.npz", **cameras)
    assert message in refusal(lambda path: first_view(path.parent), folder / "cameras.npz")
    (folder / "cameras.npz").unlink()
    with pytest.raises(FileNotFoundError):
        first_view(folder)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_pictures_that_are_none_are_refused(folder: Path, suffix: str) -> None:
    write_views(folder, some_views(1), suffix)
    path = folder / f"000{suffix}"
    content = path.read_bytes()
    for damage in (b"", b"garbage" * 99, content[:20], content[: len(content) // 2]):
        path.write_bytes(damage)
        refusal(lambda path: first_view(path.parent), path)
    Image.fromarray(smooth_picture(0)).save(path, format="GIF")
    assert "expected a JPEG or PNG picture, found something else" in refusal(lambda path: first_view(folder), path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@given(place=st.integers(0, 100_000), difference=st.integers(1, 255))
def test_a_changed_byte_gives_a_picture_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, place: int, difference: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"changed{suffix}"
    write_views(folder, some_views(1), suffix)
    path = folder / f"000{suffix}"
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= difference
    path.write_bytes(content)
    try:
        assert first_view(folder).image.shape[2] == 3
    except ValueError:
        refusal(lambda path: first_view(path.parent), path)


@pytest.mark.parametrize("limit", [SIZE * SIZE - 1, SIZE * SIZE // 3])
def test_more_pixels_than_pil_allows_are_refused(folder: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write_views(folder, some_views(1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    message = refusal(lambda path: first_view(path.parent), folder / "000.jpg")
    assert f"expected a picture of at most {limit} pixels, found a larger one" in message


def test_what_could_not_be_read_back_is_not_written(folder: Path) -> None:
    view = some_views(1)[0]
    for wrong in (
        View(view.image[..., 0], view.world_to_camera, view.intrinsics),
        View(view.image.astype(float), view.world_to_camera, view.intrinsics),
        View(view.image, np.eye(4), view.intrinsics),
        View(view.image, view.world_to_camera, np.full((3, 3), np.inf)),
    ):
        with pytest.raises(ValueError, match="img_choy2016: expected .*, found "):
            write_views(folder, [view, wrong])
    with pytest.raises(ValueError, match="expected at least one view"):
        write_views(folder, [])
    with pytest.raises(ValueError, match="expected pictures as .jpg or .png"):
        write_views(folder, [view], ".bmp")
    assert not folder.exists()
