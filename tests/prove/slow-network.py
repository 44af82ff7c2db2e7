#!/usr/bin/env python3
# Two nodes behind slow links: packed top-k beats dense gradients, and the cost model says by how much.
"""Each node of a test cluster has a network link of its own, slowed by `tc tbf`. Needs root and Slurm."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
import proof
from slurm_cluster import MUSTER, Cluster

NAMES = ["none", "fp16", "bf16", "topk", "randomk", "thresholdv", "terngrad", "qsgd", "powersgd"]
WARMUP = 2
BATCH = 32
EXPERIMENT = """
name = "slow-{method}-{steps}"
workload = "compressed"
[resources]
ranks = 2
cpus_per_rank = 1
[policy]
checkpoint_seconds = 0
[parameters]
data.path = "synthetic"
data.samples = {samples}
data.test_samples = 32
epochs = 1
batch = {batch}
schedule.kind = "constant"
lr = 0.01
evaluate_every = 0
exchange.compressor = "{method}"
exchange.ratio = 0.01
exchange.granularity = "entire_model"
exchange.calibrate = {calibrate}
"""


@dataclass
class Outcome:
    task: Path
    left: int  # bytes that left the second node's interface meanwhile


class Links:
    def __init__(self, cluster: Cluster) -> None:
        port = (cluster.folder / "port").read_text().strip()
        self.spaces = [f"mtc{port}-{node}" for node in ("n1", "n2")]
        # The headers of 1,500 byte frames would be 4.6 % of its count; clusters use larger ones.
        for node, space in zip(("n1", "n2"), self.spaces, strict=True):
            for where, link in ((space, "eth0"), (f"mtc{port}-switch", f"to-{node}")):
                proof.checked(["ip", "-n", where, "link", "set", link, "mtu", "9000"])

    def slow_down(self, rate: str) -> None:
        for space in self.spaces:
            limit = ["tbf", "rate", rate, "burst", "64kb", "latency", "100ms"]
            proof.checked(["tc", "-n", space, "qdisc", "add", "dev", "eth0", "root", *limit])

    def speed_up(self) -> None:
        for space in self.spaces:
            proof.checked(["tc", "-n", space, "qdisc", "del", "dev", "eth0", "root"])

    def left(self) -> int:
        shown = proof.checked(["ip", "-n", self.spaces[1], "-s", "-j", "link", "show", "eth0"]).stdout
        return int(json.loads(shown)[0]["stats64"]["tx"]["bytes"])


def run(
    cluster: Cluster, links: Links, here: Path, method: str, steps: int, calibrate: bool = False
) -> Outcome:
    here.mkdir()
    experiment = here / "slow.toml"
    experiment.write_text(
        EXPERIMENT.format(
            method=method, steps=steps, samples=BATCH * steps, batch=BATCH, calibrate=str(calibrate).lower()
        )
    )
    before = links.left()
    job = cluster.sbatch(
        here,
        [MUSTER, "run", experiment, "--runs", here / "runs"],
        "--nodes=2",
        "--ntasks-per-node=1",
        "--cpus-per-task=1",
    )
    cluster.wait_for_end(job, 590)
    (task,) = proof.tasks(here / "runs", f"slow-{method}-{steps}")
    if not (task / "done.json").exists():
        print((here / "job.log").read_text()[-3000:], file=sys.stderr)
        sys.exit(f"the task by {method} did not finish")
    return Outcome(task, links.left() - before)


def step_seconds(task: Path) -> list[float]:
    return [row["seconds"] for row in proof.rows(task, "step")[WARMUP:]]


def costs_of(task: Path) -> dict[tuple[str, float], float]:
    """Predicted seconds of a step's exchange, by method and ratio."""
    parts = ("exchange_seconds", "compress_seconds", "decompress_seconds")
    rows = proof.rows(task, "cost")
    return {(NAMES[int(row["method"])], row["ratio"]): sum(row[part] for part in parts) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rate", default="100mbit")
    parser.add_argument("--methods", nargs="+", default=["none", "fp16", "topk", "terngrad", "qsgd"])
    arguments = parser.parse_args()
    few, many = WARMUP + 2, WARMUP + arguments.steps
    verdict = proof.Verdict()
    with (
        proof.scratch() as folder,
        Cluster(folder, "--nodes", "2", "--cpus", "1", "--gpus", "0", "--links") as cluster,
    ):
        links = Links(cluster)
        fast = [run(cluster, links, folder / "before", "none", many, calibrate=True).task]
        links.slow_down(arguments.rate)
        costs = costs_of(run(cluster, links, folder / "costs", "none", few, calibrate=True).task)
        long = {m: run(cluster, links, folder / f"{m}-long", m, many) for m in arguments.methods}
        short = {m: run(cluster, links, folder / f"{m}-short", m, few) for m in arguments.methods}
        links.speed_up()
        fast.append(run(cluster, links, folder / "after", "none", many, calibrate=True).task)
        # What is left of a step when the links are fast: the exchange's prediction is then small. Before and
        # after the others, since a machine's speed drifts.
        beside = [s - costs_of(task)["none", 1] for task in fast for s in step_seconds(task)]
        compute = median(beside)
        print(
            f"beside the exchange, s a step by fast links less what it costs there: {proof.shown(beside, 3)}"
        )
        seconds = {m: step_seconds(outcome.task) for m, outcome in long.items()}
        for method, outcome in long.items():
            predicted = compute + costs[method, 0.01 if method in ("topk", "randomk") else 1]
            measured = median(seconds[method])
            row = proof.rows(outcome.task, "compression")[-1]
            on_wire = (outcome.left - short[method].left) / (many - few)
            print(f"{method}: {BATCH / measured:.2f} images/s; s a step {proof.shown(seconds[method], 3)}, "
                  f"predicted {predicted:.3f}; {on_wire / 1e6:.3f} MB a step left the interface, "
                  f"closed form {row['closed_form_sent'] / 1e6:.3f}")  # fmt: skip
            verdict.at_most(f"{method}: predicted step, share off", abs(predicted / measured - 1), 0.15)
            verdict.at_most(f"{method}: bytes counted at the transport, from the closed form",
                            abs(row["bytes_sent"] - row["closed_form_sent"]), 0)  # fmt: skip
            verdict.at_most(f"{method}: the interface's bytes, share off the closed form",
                            abs(on_wire / row["closed_form_sent"] - 1), 0.05)  # fmt: skip
        for method in ("none", "fp16"):
            verdict.at_least(f"images/s by packed topk 1 %, times those by {method}",
                             median(seconds[method]) / median(seconds["topk"]), 1.0)  # fmt: skip
    verdict.finish()


if __name__ == "__main__":
    main()
