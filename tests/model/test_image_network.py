"""The network of pictures: torchvision's layers, what it is shown in training, and that it learns shapes from pictures."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.config.models import GlobalModelConfig, ImageModelConfig
from sparse_convonet.data.batching import pack_batch
from sparse_convonet.data.convonet.layout import write_split
from sparse_convonet.data.convonet.pictures import square_picture
from sparse_convonet.data.convonet.renderings import View, write_views
from sparse_convonet.data.convonet.stream import FolderStream, evaluation_samples
from sparse_convonet.encode.image_encoder import ImageEncoder, ResNet18
from sparse_convonet.model import build
from sparse_convonet.model.official_names import official_names
from sparse_convonet.structures import PointSet
from sparse_convonet.training.backbone import begin_with_backbone
from sparse_convonet.training.loop import training_step
from sparse_convonet.training.validation import validate
from tests.data.convonet.small_set import write_model

SMALL = ImageModelConfig(code_width=32, image_width=8, decoder_width=48, decoder_blocks=2)


def test_its_layers_are_torchvisions() -> None:
    state = ResNet18().state_dict()
    learned = sum(value.numel() for name, value in state.items() if "running" not in name and "batches" not in name)
    assert learned == 11_176_512  # ResNet-18 without its layer of classes
    assert len(state) == 120 and state["layer4.0.downsample.0.weight"].shape == (512, 256, 1, 1)
    assert ResNet18()(torch.zeros(2, 3, 64, 64)).shape == (2, 512)


def test_values_are_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = models.resnet18().eval()
    theirs.fc = torch.nn.Identity()
    ours = ResNet18().eval()
    ours.load_state_dict(theirs.state_dict())
    pictures = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(ours(pictures), theirs(pictures), atol=1e-5, rtol=1e-5)


def test_stages_halve_and_blocks_add(tmp_path: Path) -> None:
    """Against the sums written out for one place, with weights that pick single pixels."""
    network = ResNet18(4).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network.conv1.weight[0, 0, 3, 3] = 1.0  # the middle of 7 x 7
        network.bn1.weight.fill_(1.0)
        for stage in range(1, 5):
            first = getattr(network, f"layer{stage}")[0]
            if first.downsample is not None:
                first.downsample[0].weight[0, 0] = 1.0
                first.downsample[1].weight.fill_(1.0)
    pictures = torch.rand(1, 3, 64, 64)
    halved = torch.nn.functional.max_pool2d(pictures[:, 0, ::2, ::2], 3, 2, 1)  # 16 x 16
    scale = (1 + 1e-5) ** -0.5  # of each batch norm on the way
    expected = halved[:, ::8, ::8].mean() * scale**4
    torch.testing.assert_close(network(pictures)[0, 0], expected)


def test_published_weights_have_torchvisions_names() -> None:
    with torch.device("meta"):
        names = official_names(build(ImageModelConfig()))
    found = set(names.values())
    assert len(found) == len(names) == 120 + 2 + 101
    assert {
        "encoder.features.conv1.weight",
        "encoder.features.layer1.0.conv1.weight",
        "encoder.features.layer2.0.downsample.1.running_mean",
        "encoder.features.layer4.1.bn2.num_batches_tracked",
        "encoder.fc.bias",
        "decoder.fc_p.weight",
        "decoder.block4.bn_1.conv_gamma.weight",
        "decoder.bn.bn.running_var",
    } <= found
    assert not any("fc" in name and "features" in name for name in found)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_it_begins_with_the_weights_of_a_file_and_says_so(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    given = {**ResNet18(8).state_dict(), "fc.weight": torch.zeros(10, 64), "fc.bias": torch.zeros(10)}
    path = tmp_path / f"resnet18{suffix}"
    torch.save(given, path) if suffix == ".pth" else save_file(given, path)
    network = build(SMALL)
    with caplog.at_level(logging.INFO):
        begin_with_backbone(network, None)
        assert "begins with random weights" in caplog.text
        begin_with_backbone(network, str(path))
    assert f"begins with the weights of {path}" in caplog.text
    assert torch.equal(network.state_dict()["encoder.features.conv1.weight"], given["conv1.weight"])
    for broken, sentence in (
        ({name: value for name, value in given.items() if name != "layer1.0.conv1.weight"}, "none of that name"),
        ({**given, "conv1.weight": torch.zeros(64, 3, 7, 7)}, r"shape \(8, 3, 7, 7\)"),
        ({**given, "other": torch.zeros(1)}, "other as well"),
    ):
        torch.save(broken, path) if suffix == ".pth" else save_file(broken, path)
        with pytest.raises(ValueError, match=sentence):
            begin_with_backbone(network, str(path))
    path.write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="damaged or truncated"):
        begin_with_backbone(network, str(path))
    with pytest.raises(FileNotFoundError):
        begin_with_backbone(network, str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="expected null for a network without pictures"):
        begin_with_backbone(build(GlobalModelConfig(code_width=4, pointnet_width=4, decoder_width=4)), str(path))


def test_pictures_are_squared_on_white_and_keep_their_colours() -> None:
    image = np.zeros((20, 40, 3), dtype=np.uint8)
    image[..., 1] = 200
    found = square_picture(image, 64)
    assert found.shape == (3, 64, 64) and found.dtype == np.float32
    assert (
        found[:, 32, 32] == pytest.approx((0, 200 / 255, 0))
        and (found[:, :14] > 0.99).all()
        and (found[:, 50:] > 0.99).all()
    )
    same = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    assert np.array_equal(np.rint(square_picture(same, 32) * 255).astype(np.uint8), same.transpose(2, 0, 1))


def balls(root: Path, models: int, views: int = 2) -> DataConfig:
    """Balls of different sizes, whose pictures are discs of that size."""
    rows, columns = np.mgrid[:48, :48] + 0.5
    for number in range(models):
        write_model(root / "a" / f"m{number}", 10 * number, files=1)
        radius = 0.2 + number / 10
        disc = (np.hypot(rows - 24, columns - 24) < 24 * 2 * radius)[..., None]
        picture = np.where(disc, (120, 120, 130), 255).astype(np.uint8)
        write_views(
            root / "a" / f"m{number}" / "img_choy2016", [View(picture, np.eye(3, 4), np.eye(3))] * views, ".png"
        )
    for split in ("train", "val"):
        write_split(root / "a", split, [f"m{number}" for number in range(models)])
    return replace(
        DataConfig(), folder=str(root), input="image", image_pixels=48, points=50, queries=400, near_surface_share=0.0
    )


def test_a_random_view_is_shown_in_training_and_the_first_one_after(tmp_path: Path) -> None:
    data = balls(tmp_path, 1, views=3)
    folder = tmp_path / "a" / "m0" / "img_choy2016"
    for number in range(3):
        Image.fromarray(np.full((30, 30, 3), 80 * number, dtype=np.uint8)).save(folder / f"{number:03d}.png")
    stream = FolderStream(data, "train", 0, 12, coordinates="unit")
    shown = stream.make(0).shown
    assert shown is not None and shown.shape == (12, 3, 48, 48)
    assert {round(float(value) * 255) for value in shown.mean(dim=(1, 2, 3))} == {0, 80, 160}
    (sample,) = evaluation_samples(data, "val", 1, 0)
    assert sample.shown is not None and sample.shown.max() == 0
    with pytest.raises(ValueError, match="img_choy2016: expected a folder of renderings"):
        (tmp_path / "a" / "m0" / "img_choy2016").rename(tmp_path / "gone")
        stream.make(1)


def test_what_it_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match="expected pictures, found points alone"):
        build(SMALL).encode_observed(PointSet(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)))
    for shape in ((1, 1, 64, 64), (1, 3, 31, 64), (3, 64, 64)):
        with pytest.raises(ValueError, match="pictures: expected an array"):
            ImageEncoder(width=4, code_width=4)(torch.zeros(shape))


def overfit(data: DataConfig, model: ImageModelConfig, steps: int, batch: int, rate: float) -> float:
    """Validation IoU on the shapes that were trained on."""
    torch.manual_seed(0)
    network = build(model).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    stream = FolderStream(data, "train", 0, batch, coordinates="unit")
    for step in range(steps):
        training_step(network, optimizer, stream.make(step), None, batch, torch.device("cpu"))
    samples = evaluation_samples(data, "val", 99, 0)
    assert pack_batch(samples, coordinates="unit").shown is not None
    return validate(network, samples, torch.device("cpu")).best_iou


def test_it_tells_two_sizes_apart_by_their_pictures(tmp_path: Path) -> None:
    assert overfit(balls(tmp_path, 2), SMALL, 60, 4, 3e-3) > 0.75  # either ball for both has at most .65


@pytest.mark.long
def test_it_learns_four_shapes_by_heart(tmp_path: Path) -> None:
    assert overfit(balls(tmp_path, 4), SMALL, 500, 4, 3e-3) > 0.9
