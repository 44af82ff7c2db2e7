"""ResNet-9 (myrtle.ai) and its input pipeline in plain PyTorch: what muster is measured against."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


def conv_bn(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(conv_bn(channels, channels), conv_bn(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class ResNet9(nn.Module):
    """6,573,120 parameters at width 64."""

    def __init__(self, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_bn(3, width),
            conv_bn(width, 2 * width),
            nn.MaxPool2d(2),
            Residual(2 * width),
            conv_bn(2 * width, 4 * width),
            nn.MaxPool2d(2),
            conv_bn(4 * width, 8 * width),
            nn.MaxPool2d(2),
            Residual(8 * width),
            nn.MaxPool2d(4),
        )
        self.linear = nn.Linear(8 * width, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.features(x).flatten(1)) * 0.125


def read_cifar10(folder: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Train images (N, 3, 32, 32) uint8 and labels, test images and labels, of the official binary layout."""

    def read(names: list[str]) -> tuple[Tensor, Tensor]:
        rows = torch.cat(
            [
                torch.frombuffer(bytearray((folder / n).read_bytes()), dtype=torch.uint8).view(-1, 3073)
                for n in names
            ]
        )
        return rows[:, 1:].reshape(-1, 3, 32, 32).contiguous(), rows[:, 0].long()

    nested = folder / "cifar-10-batches-bin"
    folder = nested if nested.is_dir() else folder
    return *read([f"data_batch_{i}.bin" for i in range(1, 6)]), *read(["test_batch.bin"])


def normalise(images: Tensor) -> Tensor:
    mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD).view(1, 3, 1, 1) * 255
    return (images.float() - mean) / std


def augment(images: Tensor, cutout: int = 8) -> Tensor:
    """Crop with padding 4, flip and cutout, on normalised images (N, 3, 32, 32)."""
    n, device = images.shape[0], images.device

    def draw(below: int, *shape: int) -> Tensor:
        return torch.randint(0, below, shape, device=device)

    padded = nn.functional.pad(images, (4, 4, 4, 4), mode="reflect")
    windows = padded.unfold(2, 32, 1).unfold(3, 32, 1)
    images = windows[torch.arange(n, device=device), :, draw(9, n), draw(9, n)]
    images = torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.5, images.flip(3), images)
    if cutout:
        rows, columns = draw(33 - cutout, n, 1, 1, 1), draw(33 - cutout, n, 1, 1, 1)
        y = torch.arange(32, device=device).view(1, 1, 32, 1)
        x = torch.arange(32, device=device).view(1, 1, 1, 32)
        hole = (y >= rows) & (y < rows + cutout) & (x >= columns) & (x < columns + cutout)
        images = images.masked_fill(hole, 0)
    return images
