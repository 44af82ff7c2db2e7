"""Times steps of ResNet-9 in PyTorch: the peer of the ddp workload.

torchrun --nproc-per-node 2 ddp_resnet9.py --batch 64 --dtype bf16 --steps 30
python ddp_resnet9.py --device cuda --compile default --batch 512 --dtype bf16 --channels-last --augment

The peer gets what a careful user gives it: channels-last, autocast, the fused optimiser, data in memory,
normalised beforehand, on a GPU there; under torchrun DistributedDataParallel, gradients as bucket views, one
thread a rank bound to its own CPU. Rank 0 prints one JSON line: the seconds of every timed step. On a GPU,
where steps run behind the host, only their sum tells something: the last waits for all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import time

import torch
from resnet9 import ResNet9, augment, normalise
from torch import Tensor, nn
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
    parser.add_argument("--images", type=int, default=2048, help="of the data")
    parser.add_argument("--device", default="cpu", help="cuda: one process, without torchrun")
    parser.add_argument(
        "--compile", metavar="MODE", help="torch.compile's, of the augmentation and of the network"
    )
    parser.add_argument("--on-request", action="store_true", help="time the steps once a line of the input")
    args = parser.parse_args()

    rank = int(os.environ.get("RANK", "0"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device(args.device)
    if device.type == "cpu":
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[int(os.environ.get("LOCAL_RANK", "0")) % len(cpus)]})
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(rank)

    model: nn.Module = ResNet9(width=args.width).to(device)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if world > 1:
        torch.distributed.init_process_group("gloo")
        model = DistributedDataParallel(model, gradient_as_bucket_view=True, bucket_cap_mb=args.bucket_mb)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    bf16 = args.dtype == "bf16"
    images = normalise(torch.randint(0, 256, (args.images, 3, 32, 32), dtype=torch.uint8))
    images = images.to(device, torch.bfloat16 if bf16 else torch.float32)
    labels = torch.randint(0, 10, (args.images,), device=device)
    loss_function = nn.CrossEntropyLoss()

    def autocast() -> contextlib.AbstractContextManager:
        return torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()

    def batch_of(chosen: Tensor) -> Tensor:
        batch = augment(images[chosen]) if args.augment else images[chosen]
        return batch.contiguous(memory_format=torch.channels_last) if args.channels_last else batch

    def loss_of(batch: Tensor, targets: Tensor) -> Tensor:
        with autocast():
            return loss_function(model(batch), targets)

    if args.compile:
        batch_of, loss_of = (torch.compile(function, mode=args.compile) for function in (batch_of, loss_of))

    def wait_for_gpu() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in sys.stdin if args.on_request else [""]:
        seconds = []
        for step in range(args.warmup + args.steps):
            if step == args.warmup:
                wait_for_gpu()
                last = time.perf_counter()
            if args.compile:
                torch.compiler.cudagraph_mark_step_begin()
            chosen = torch.randint(0, args.images, (args.batch,), device=device)
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(batch_of(chosen), labels[chosen])
            loss.backward()
            optimizer.step()
            if step + 1 == args.warmup + args.steps:
                wait_for_gpu()
            if step >= args.warmup:
                now = time.perf_counter()
                seconds.append(now - last)
                last = now
        if not math.isfinite(loss.item()):
            sys.exit("the loss is not finite")
        if rank == 0:
            row = {"ranks": world, "batch": args.batch, "dtype": args.dtype, "step_seconds": seconds}
            print(json.dumps(row), flush=True)
    if world > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
