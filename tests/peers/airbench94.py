"""The recipe of experiments/cifar10_fast.toml in plain PyTorch, from the figures in arXiv 2404.00498.

python airbench94.py DATA_FOLDER --seed 0

Prints one JSON line at the end: the test accuracy, and of the training alone the seconds, whole and of each
epoch, and the images a second. With --compile a step of each kind goes before and is undone: compiling is in
none of them.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from resnet9 import normalise, read_cifar10
from torch import Tensor, nn
from torch.nn import functional

PEAK, MOMENTUM, DECAY, BIAS_FACTOR = 1.5, 0.85, 0.0153 / 11.5, 64
WHITENED_IMAGES, WHITENING_EPSILON, BIAS_EPOCHS = 5000, 5e-4, 3
LOOKAHEAD_EVERY, LOOKAHEAD_DECAY = 5, 0.95


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[: min(inputs, outputs)])
    return layer


def norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer


def group(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        convolution(inputs, outputs), nn.MaxPool2d(2), norm(outputs), nn.GELU(),
        convolution(outputs, outputs), norm(outputs), nn.GELU(),
    ]  # fmt: skip


class Airbench94(nn.Module):
    def __init__(self, width: float) -> None:
        super().__init__()
        first, other = max(8, 8 * round(8 * width)), max(8, 8 * round(32 * width))
        self.whitening = nn.Conv2d(3, 24, 2)
        self.whitening.weight.requires_grad_(False)
        nn.init.zeros_(self.whitening.bias)
        self.groups = nn.Sequential(*group(24, first), *group(first, other), *group(other, other))
        self.linear = nn.Linear(other, 10, bias=False)
        self.trains_bias = True

    def whiten(self, images: Tensor) -> None:
        patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / torch.sqrt(values + WHITENING_EPSILON)).T
        self.whitening.weight.data.copy_(torch.cat([filters, -filters]).reshape(24, 3, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        bias = self.whitening.bias if self.trains_bias else self.whitening.bias.detach()
        x = functional.gelu(functional.conv2d(x, self.whitening.weight, bias))
        return self.linear(functional.max_pool2d(self.groups(x), 3).flatten(1)) / 9


def crops(images: Tensor) -> Tensor:
    n = len(images)
    windows = functional.pad(images, (2, 2, 2, 2), mode="reflect").unfold(2, 32, 1).unfold(3, 32, 1)
    at = torch.randint(0, 5, (2, n), device=images.device)
    return windows[torch.arange(n, device=images.device), :, at[0], at[1]]


def answers(model: nn.Module, images: Tensor) -> Tensor:
    """Mean logits over six views: mirrored or not, in place (half the weight) or a pixel aside."""

    def mirrored(x: Tensor) -> Tensor:
        return (model(x) + model(x.flip(3))) / 2

    padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    aside = (mirrored(padded[:, :, :32, :32]) + mirrored(padded[:, :, 2:, 2:])) / 2
    return (mirrored(images) + aside) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--width", type=float, default=1)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", metavar="MODE", help="torch.compile's, of the batch and of the network")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(args.seed)
    device = torch.device(args.device).type
    train_images, train_labels, test_images, test_labels = read_cifar10(args.data)
    train_images, test_images = (normalise(i).to(args.device) for i in (train_images, test_images))
    train_labels, test_labels = train_labels.to(args.device), test_labels.to(args.device)
    model = Airbench94(args.width).to(args.device, memory_format=torch.channels_last)
    model.whiten(train_images[:WHITENED_IMAGES])

    biases = [m.bias for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    chosen_out = {id(bias) for bias in biases}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen_out]
    groups = [
        {"params": others, "factor": 1, "weight_decay": DECAY},
        {"params": biases, "factor": BIAS_FACTOR, "weight_decay": DECAY / BIAS_FACTOR},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM, nesterov=True, fused=True)
    weights = [t for t in model.state_dict().values() if t.is_floating_point()]
    means = [t.clone() for t in weights]
    steps = len(train_images) // args.batch
    total = steps * args.epochs
    flipped = torch.rand(len(train_images), 1, 1, 1, device=args.device) < 0.5

    def autocast() -> contextlib.AbstractContextManager:
        if args.dtype == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(device, dtype=torch.bfloat16)

    def batch_of(chosen: Tensor, mirrors: bool) -> Tensor:
        images = crops(train_images[chosen])
        images = torch.where(flipped[chosen] ^ mirrors, images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last)

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        with autocast():
            return functional.cross_entropy(model(images), labels, label_smoothing=0.2)

    if args.compile:
        batch_of, loss_of = (torch.compile(function, mode=args.compile) for function in (batch_of, loss_of))
        before = copy.deepcopy(model.state_dict())
        chosen = torch.arange(args.batch, device=args.device)
        for model.trains_bias in (True, False):
            for mirrors in (False, True):
                loss_of(batch_of(chosen, mirrors), train_labels[chosen]).backward()
        model.load_state_dict(before)

    def wait_for_gpu() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    wait_for_gpu()
    epoch_seconds = []
    start = time.perf_counter()
    for done in range(total):
        epoch, step = divmod(done, steps)
        if step == 0:
            order = torch.randperm(len(train_images), device=args.device)
            model.trains_bias = epoch < BIAS_EPOCHS
        rate = np.interp(done / total, [0, 0.23, 1], [0.2, 1, 0.07]) * PEAK * args.batch / 1024
        for one in optimizer.param_groups:
            one["lr"] = float(rate) * one["factor"]
        chosen = order[step * args.batch : (step + 1) * args.batch]
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(batch_of(chosen, epoch % 2 == 1), train_labels[chosen])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            if (done + 1) % LOOKAHEAD_EVERY == 0:
                kept = LOOKAHEAD_DECAY**LOOKAHEAD_EVERY * ((done + 1) / total) ** 3
                torch._foreach_lerp_(means, weights, 1 - kept)
                torch._foreach_copy_(weights, means)
            if done + 1 == total:
                torch._foreach_copy_(weights, means)
        if step + 1 == steps:
            wait_for_gpu()
            epoch_seconds.append(time.perf_counter() - start - sum(epoch_seconds))
    seconds = sum(epoch_seconds)

    model.eval()
    with torch.no_grad(), autocast():
        parts = zip(test_images.split(256), test_labels.split(256), strict=True)
        right = sum((answers(model, i).argmax(1) == labels).sum().item() for i, labels in parts)
    row = {"test_accuracy": right / len(test_images), "images_per_second": total * args.batch / seconds}
    print(json.dumps(row | {"seconds": seconds, "epoch_seconds": epoch_seconds}))


if __name__ == "__main__":
    main()
