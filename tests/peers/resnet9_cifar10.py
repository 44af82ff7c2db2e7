"""ResNet-9 on CIFAR-10 in plain PyTorch: the accuracy that muster's ddp workload is judged by.

python resnet9_cifar10.py DATA_FOLDER --seed 0

24 epochs, batch 128, lr 0 -> 0.4 at epoch 5 -> 0, Nesterov 0.9,
weight decay 5e-4, crop, flip, cutout 8. Prints one JSON line an epoch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path

import numpy as np
import torch
from resnet9 import ResNet9, augment, normalise, read_cifar10
from torch import Tensor, nn


def accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, autocast: contextlib.AbstractContextManager
) -> float:
    model.eval()
    with torch.no_grad(), autocast:
        hits = sum(
            (model(normalise(images[i : i + 256])).argmax(1) == labels[i : i + 256]).sum().item()
            for i in range(0, len(images), 256)
        )
    model.train()
    return hits / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--peak-lr", type=float, default=0.4)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    train_images, train_labels, test_images, test_labels = read_cifar10(args.data)
    model = ResNet9().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    steps = len(train_images) // args.batch
    bf16 = args.dtype == "bf16"

    def autocast() -> contextlib.AbstractContextManager:
        return torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()

    for epoch in range(args.epochs):
        start = time.perf_counter()
        order = torch.randperm(len(train_images))
        total = 0.0
        for step in range(steps):
            rate = np.interp(epoch + step / steps, [0, 5, args.epochs], [0, args.peak_lr, 0])
            for group in optimizer.param_groups:
                group["lr"] = float(rate)
            chosen = order[step * args.batch : (step + 1) * args.batch]
            images = augment(normalise(train_images[chosen])).contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad(set_to_none=True)
            with autocast():
                loss = nn.functional.cross_entropy(model(images), train_labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds = time.perf_counter() - start
        score = accuracy(model, test_images, test_labels, autocast())
        row = {"epoch": epoch + 1, "train_loss": total / steps, "test_accuracy": score, "seconds": seconds}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
