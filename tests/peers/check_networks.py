"""Repeats in plain PyTorch the training steps that tests/workloads/networks_test.cpp wrote down; compares.

check_networks.py FILE.safetensors: exits with 0 where logits, gradients and weights agree, relative to each
tensor's norm: fp64 to 1e-11 in the first step and to 1e-9 after the second (differences grow).
fp32 is judged in the first step by its distance from fp64: 1e-5, or three (logits) and ten times (gradients)
PyTorch's own.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import experts
import torch
from resnet9 import ResNet9
from torch import Tensor, nn

TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}


def read_safetensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    data = bytearray(file.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(data[8 + length + begin : 8 + length + end], dtype=TYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


def conv_bn_relu(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
    return nn.Sequential(*layers, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU())


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        shapes = (
            [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
            if bottleneck
            else [(inputs, width, 3, stride), (width, width, 3, 1)]
        )
        self.last = len(shapes)
        for i, (a, b, kernel, step) in enumerate(shapes, 1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.last + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.last:
                y = torch.relu(y)
        return torch.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """torchvision's layout; with `side` also its stem, on images of so many pixels, else a stem for CIFAR."""

    def __init__(self, blocks: list[int], bottleneck: bool, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        stem = {"kernel_size": 7, "stride": 2, "padding": 3} if side else {"kernel_size": 3, "padding": 1}
        self.conv1, self.bn1 = nn.Conv2d(3, width, bias=False, **stem), nn.BatchNorm2d(width)
        channels = width
        for stage, count in enumerate(blocks):
            inner = width << stage
            stages = nn.Sequential()
            for i in range(count):
                stages.append(Block(channels, inner, 2 if i == 0 and stage > 0 else 1, bottleneck))
                channels = 4 * inner if bottleneck else inner
            self.add_module(f"layer{stage + 1}", stages)
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        if self.side:
            x = nn.functional.interpolate(x, size=self.side, mode="bilinear", align_corners=False)
        x = torch.relu(self.bn1(self.conv1(x)))
        if self.side:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


class OptionA(nn.Module):
    """A shortcut without parameters: every second pixel, new channels at zero around the old ones."""

    def __init__(self, more: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = more, stride

    def forward(self, x: Tensor) -> Tensor:
        padding = (0, 0, 0, 0, self.more // 2, self.more - self.more // 2)
        return nn.functional.pad(x[:, :, :: self.stride, :: self.stride], padding)


class CifarResNet(nn.Module):
    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        channels, self.stages = width, nn.Sequential()
        for stage in range(3):
            for i in range(blocks):
                block = Block(channels, width << stage, 2 if i == 0 and stage > 0 else 1, bottleneck=False)
                if channels != width << stage:
                    block.downsample = OptionA((width << stage) - channels, 2)
                self.stages.append(block)
                channels = width << stage
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stages(torch.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


class Plain9(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        shapes = [(3, 1), (1, 2), (2, 2), (2, 2), (2, 4), (4, 8), (8, 8), (8, 8)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a if a == 3 else a * width, b * width, 3, padding=1, bias=False) for a, b in shapes
        )
        self.linear = nn.Linear(8 * width, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        def layer(i: int, x: Tensor) -> Tensor:
            return torch.relu(self.convolutions[i](x))

        x = torch.max_pool2d(layer(1, layer(0, x)), 2)
        x = x + layer(3, layer(2, x))
        x = torch.max_pool2d(layer(5, torch.max_pool2d(layer(4, x), 2)), 2)
        x = x + layer(7, layer(6, x))
        return self.linear(torch.max_pool2d(x, 4).flatten(1)) * 0.125


class AlexNet(nn.Module):
    """Five 3x3 convolutions with batch normalisation, pooled after the first, second and last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [3, width, 3 * width, 6 * width, 4 * width, 4 * width]
        self.layers = nn.ModuleList(
            conv_bn_relu(a, b, True) for a, b in zip(channels[:-1], channels[1:], strict=True)
        )
        self.linear = nn.Linear(4 * width, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in (0, 1, 4):
                x = torch.max_pool2d(x, 2)
        return self.linear(torch.max_pool2d(x, 4).flatten(1)) * 0.125


def build(metadata: dict[str, str]) -> nn.Module:
    name, width = metadata["network"], int(64 * float(metadata["width"]))
    if name in experts.NAMES:
        return experts.build(name, float(metadata["width"]))
    if name == "resnet_slim":
        return ResNet([1, 1, 1, 1], False, width // 4, 0)
    if name == "alexnet":
        return AlexNet(width)
    if name == "resnet20":
        return CifarResNet(3, width // 4)
    if name == "resnet9":
        return ResNet9(width=width)
    if name == "plain9":
        return Plain9(width)
    blocks = [2, 2, 2, 2] if name.endswith(("resnet18", "resnet")) else [3, 4, 6, 3]
    return ResNet(blocks, name == "resnet50", width, int(metadata["image_side"]))


def train(record: dict[str, Tensor], metadata: dict[str, str], dtype: torch.dtype) -> dict[str, Tensor]:
    """The same steps; results under the record's names. Tensors pair up by order, parameters first."""
    model = build(metadata).to(dtype)
    names = [n.removeprefix("start.") for n in record if n.startswith("start.")]
    buffers = [b for n, b in model.named_buffers() if not n.endswith("num_batches_tracked")]
    tensors = [*model.parameters(), *buffers]
    ours = {n: record["start." + n] for n in names}
    in_order = [n for n in names if "running" not in n] + [n for n in names if "running" in n]
    if len(in_order) != len(tensors):
        raise SystemExit(f"{len(in_order)} tensors of ours, {len(tensors)} of PyTorch's")
    with torch.no_grad():
        for name, tensor in zip(in_order, tensors, strict=True):
            tensor.copy_(ours[name])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4)
    results = {}
    parameters = in_order[: len(list(model.parameters()))]
    for step in range(sum(n.endswith(".logits") for n in record)):
        logits = model(record["images"].to(dtype))
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, record["labels"]).backward()
        results[f"step{step}.logits"] = logits.detach()
        for name, parameter in zip(parameters, model.parameters(), strict=True):
            results[f"step{step}.gradient.{name}"] = parameter.grad.clone()
        optimizer.step()
    for name, tensor in zip(in_order, tensors, strict=True):
        results["end." + name] = tensor.detach()
    return results


def distance(a: Tensor, b: Tensor) -> float:
    return ((a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-30)).item()


def main() -> None:
    record, metadata = read_safetensors(Path(sys.argv[1]))
    exact = train(record, metadata, torch.float64)
    worst = {name: distance(record[name], exact[name]) for name in exact}
    first = max(v for n, v in worst.items() if n.startswith("step0"))
    second = max(v for n, v in worst.items() if not n.startswith("step0"))
    print(f"{metadata}: farthest from fp64 {first:.1e} in the first step, {second:.1e} after it")
    if metadata["precision"] == "fp64":
        allowed = {name: 1e-11 if name.startswith("step0") else 1e-9 for name in exact}
    else:
        # A ReLU that flips within rounding changes a deep network's gradients far more: PyTorch's own counts.
        peer = train(record, metadata, torch.float32)
        own = {name: distance(peer[name], exact[name]) for name in exact}
        floor = max(v for n, v in own.items() if n.startswith("step0.gradient"))
        allowed = {n: max(1e-5, 10 * floor) for n in exact if n.startswith("step0.gradient")}
        allowed["step0.logits"] = max(1e-5, 3 * own["step0.logits"])
    wrong = [name for name in allowed if not worst[name] <= allowed[name]]
    for name in wrong[:10]:
        print(f"{name}: {worst[name]:.2e} from fp64, at most {allowed[name]:.2e}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
