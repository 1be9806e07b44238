"""Dense U-Nets: accuracy of their normalisation, and sizes."""

from __future__ import annotations

import copy

import torch

from sparse_convonet.encode.dense_unet import VolumeUNet

CHANNELS = 8


def test_accuracy_of_the_volume_unet_does_not_depend_on_the_layout_of_its_input() -> None:
    """torch's group norm on the CPU loses digits where channels are the fastest axis in memory."""
    torch.manual_seed(0)
    unet = VolumeUNet(channels=CHANNELS, width=8, levels=2)
    cells = torch.relu(0.01 * torch.randn(1, 16, 16, 16, CHANNELS) + 2)  # far from zero beside their spread
    view = cells.permute(0, 4, 1, 2, 3)
    with torch.no_grad():
        exact = copy.deepcopy(unet).double()(view.double().contiguous())
        assert torch.equal(unet(view), unet(view.contiguous()))
        assert (unet(view) - exact).abs().max() < 1e-3
