"""One code for a picture: ResNet-18 (He et al. 2016) and a linear layer, as in the Occupancy Network of images.

The layers have torchvision's names, so that its weights of ResNet-18, of a local file, can be a beginning.
"""

from __future__ import annotations

import torch
from torch import nn

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the pictures that such weights were trained with
_BLOCKS = 2  # of each of four stages
_HALVINGS = 5


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside an identity, or beside a 1x1 convolution where the size changes."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or width_in != width_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(width_in, width_out, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(change + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """Pictures (B, 3, S, S) -> (B, 8 width): without the layer of classes.  width: 64 in the paper."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        entry = width
        for stage in range(4):
            out = width * 2**stage
            first = _BasicBlock(entry, out, 2 if stage else 1)
            others = [_BasicBlock(out, out, 1) for _ in range(_BLOCKS - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, *others))
            entry = out
        self.width_out = entry
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x.mean(dim=(2, 3))


class ImageEncoder(nn.Module):
    """Pictures (B, 3, S, S), 0 to 1 -> codes (B, code_width)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, *, width: int, code_width: int) -> None:
        super().__init__()
        self.features = ResNet18(width)
        self.code = nn.Linear(self.features.width_out, code_width)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Raises ValueError for another shape, and pictures smaller than the network halves them."""
        least = 2**_HALVINGS
        if pictures.dim() != 4 or pictures.shape[1] != 3 or min(pictures.shape[2:]) < least:
            expected = f"an array of shape (B, 3, S, S), S at least {least}"
            raise ValueError(f"pictures: expected {expected}, found {tuple(pictures.shape)}")
        mean, deviation = (pictures.new_tensor(each)[:, None, None] for each in (_MEAN, _DEVIATION))
        return self.code(self.features((pictures - mean) / deviation))
