"""Times steps of ResNet-9 under torchrun, DistributedDataParallel and gloo: the peer of the ddp workload.

torchrun --nproc-per-node 2 ddp_resnet9.py --batch 64 --dtype bf16 --steps 30

The peer gets what a careful user gives it: one thread a rank bound to its own CPU, channels-last, autocast,
gradients as bucket views, the fused optimiser, data in memory. Rank 0 prints one JSON line: the seconds of
every timed step.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time

import torch
from resnet9 import ResNet9, augment, normalise
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64, help="images a rank")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--augment", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--bucket-mb", type=float, default=25)
    args = parser.parse_args()

    rank = int(os.environ.get("RANK", "0"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[int(os.environ.get("LOCAL_RANK", "0")) % len(cpus)]})
    torch.set_num_threads(1)
    torch.manual_seed(rank)

    model: nn.Module = ResNet9(width=args.width)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if world > 1:
        torch.distributed.init_process_group("gloo")
        model = DistributedDataParallel(model, gradient_as_bucket_view=True, bucket_cap_mb=args.bucket_mb)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    images = torch.randint(0, 256, (2048, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (2048,))
    autocast = (
        torch.autocast("cpu", dtype=torch.bfloat16) if args.dtype == "bf16" else contextlib.nullcontext()
    )
    loss_function = nn.CrossEntropyLoss()

    seconds = []
    for step in range(args.warmup + args.steps):
        start = time.perf_counter()
        chosen = torch.randint(0, len(images), (args.batch,))
        batch = normalise(images[chosen])
        if args.augment:
            batch = augment(batch)
        if args.channels_last:
            batch = batch.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = loss_function(model(batch), labels[chosen])
        loss.backward()
        optimizer.step()
        if step >= args.warmup:
            seconds.append(time.perf_counter() - start)
    if world > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    if rank == 0:
        print(json.dumps({"ranks": world, "batch": args.batch, "dtype": args.dtype, "step_seconds": seconds}))


if __name__ == "__main__":
    main()
