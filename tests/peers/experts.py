"""DenseNet, wide ResNet and ResNeXt for images of 32x32 in plain PyTorch, after their papers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DENSENETS = {"densenet": ((6, 12, 24, 16), 32), "densenet_slim": ((2, 2, 6, 4), 16)}
WIDE_RESNETS = {"improved_wide_resnet": (4, 10), "improved_wide_resnet_slim": (1, 2)}
RESNEXTS = {"resnext": (3, 8, 64, 64), "resnext_slim": (1, 4, 8, 16)}
NAMES = (*DENSENETS, *WIDE_RESNETS, *RESNEXTS)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class DenseBlock(nn.Module):
    """Every layer sees what all before it made."""

    def __init__(self, inputs: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for channels in range(inputs, inputs + layers * growth, growth):
            squeeze = [*norm_relu(channels), conv(channels, 4 * growth, 1)]
            self.layers.append(nn.Sequential(*squeeze, *norm_relu(4 * growth), conv(4 * growth, growth, 3)))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, 1)))
        return torch.cat(seen, 1)


def densenet(layers: tuple[int, ...], growth: int) -> nn.Sequential:
    channels = 2 * growth
    net: list[nn.Module] = [conv(3, channels, 3)]
    for i, count in enumerate(layers):
        if i > 0:
            net += [*norm_relu(channels), conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
        net.append(DenseBlock(channels, count, growth))
        channels += count * growth
    return nn.Sequential(*net, *norm_relu(channels), *classifier(channels))


def classifier(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


class Preactivation(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = norm_relu(inputs)
        self.rest = nn.Sequential(
            conv(inputs, outputs, 3, stride), *norm_relu(outputs), conv(outputs, outputs, 3)
        )
        self.projection = conv(inputs, outputs, 1, stride) if inputs != outputs or stride != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.first(x)
        return self.rest(active) + (self.projection(active) if self.projection else x)


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            conv(inputs, inner, 1),
            *norm_relu(inner),
            conv(inner, inner, 3, stride, groups),
            *norm_relu(inner),
            conv(inner, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        self.projection = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.projection = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.projection(x))


def build(name: str, width: float) -> nn.Module:
    """With `width` times the channels of every layer, in eights."""

    def scaled(channels: int) -> int:
        return max(8, 8 * round(channels * width / 8))

    if name in DENSENETS:
        layers, growth = DENSENETS[name]
        return densenet(layers, scaled(growth))
    net: list[nn.Module] = []
    if name in WIDE_RESNETS:
        blocks, widen = WIDE_RESNETS[name]
        channels = scaled(16)
        net.append(conv(3, channels, 3))
        for stage in range(3):
            for i in range(blocks):
                outputs = scaled(16 * widen << stage)
                net.append(Preactivation(channels, outputs, 2 if i == 0 and stage > 0 else 1))
                channels = outputs
        return nn.Sequential(*net, *norm_relu(channels), *classifier(channels))
    blocks, groups, group_channels, stem = RESNEXTS[name]
    channels = scaled(stem)
    net += [conv(3, channels, 3), *norm_relu(channels)]
    for stage in range(3):
        for i in range(blocks):
            inner, outputs = scaled(groups * group_channels << stage), scaled(4 * stem << stage)
            net.append(Bottleneck(channels, inner, outputs, 2 if i == 0 and stage > 0 else 1, groups))
            channels = outputs
    return nn.Sequential(*net, *classifier(channels))
