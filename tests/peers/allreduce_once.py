"""The shortest distributed task: start, all-reduce once, write a row.

torchrun --nproc-per-node 2 allreduce_once.py OUT.csv
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import torch
import torch.distributed as dist


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    values = torch.full((1024,), float(dist.get_rank() + 1))
    dist.all_reduce(values)
    if dist.get_rank() == 0:
        with Path(sys.argv[1]).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "sum"])
            writer.writerow([1, values[0].item()])
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
