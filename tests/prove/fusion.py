#!/usr/bin/env python3
# Four experts fused: better than the best of them on real images; killed, resumed bitwise; read by PyTorch.
"""Trains through `muster run`, so that an interrupted proof goes on where it was when it is called again."""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parent))
import proof
from kills import attempts_of, checksum, runners_of

EXPERTS = 4
FUSIONS = ["concatenation", "multiplicativeAddition", "TransformerBase", "multiplicative"]
COMPONENTS = ["experts/expert_0", "experts/expert_1", "experts/expert_2", "experts/expert_3"]
COMPONENTS += ["fusion/fusion", "global/global"]

STAGES = """
name = "{name}"
[resources]
cpus_per_rank = 1
[policy]
checkpoint_steps = {checkpoint_steps}
[parameters]
data.path = "{data}"
batch = {batch}
{parameters}
{common}
[stages.split]
workload = "split"
[stages.experts]
workload = "experts"
parameters.split = {{ from = "split" }}
parameters.network = "{network}"
parameters.epochs = {epochs}
matrix.grid = {{ expert = [0, 1, 2, 3] }}
[stages.fusion]
workload = "fusion"
parameters.split = {{ from = "split" }}
parameters.experts = {{ from = "experts", file = "expert_best.safetensors" }}
parameters.epochs = {fusion_epochs}
matrix.grid = {{ fusion = {fusions} }}
"""
EVALUATION = """
[stages.control_split]
workload = "split"
parameters.experts = 1
parameters.holdout = {{ from = "split", file = "validation_indices.npy" }}
parameters.validation_share = 0.99
[stages.control]
workload = "experts"
parameters.split = {{ from = "control_split" }}
parameters.network = "{network}"
parameters.epochs = {control_epochs}
[stages.evaluation]
workload = "evaluate_fusion"
parameters.fusion_folder = {{ from = "fusion" }}
parameters.experts = {{ from = "experts", file = "expert_best.safetensors" }}
parameters.control = {{ from = "control", file = "expert_best.safetensors" }}
matrix.grid = {{ fusion = {fusions} }}
"""


def finished(runs: Path, experiment: str, stage: str) -> list[Path]:
    return [task for task in proof.finished(runs, experiment) if task.name.startswith(f"{stage}-")]


def toml_list(texts: list[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def cost(images: int, epochs: int, fusion_epochs: int) -> tuple[int, int]:
    """Passes of an image through one network for experts and fusion, and the control's epochs."""
    holdout = round(0.2 * images)
    validation = round(0.2 * holdout)
    outside = images - holdout
    shared = round(0.5 * outside)
    part = shared + (outside - shared) / EXPERTS
    passes = EXPERTS * (epochs * part + fusion_epochs * (holdout - validation))
    return round(passes), round(passes / (images - validation))


def images_in(data: Path) -> int:
    return (
        sum((data / "cifar-10-batches-bin" / f"data_batch_{i}.bin").stat().st_size for i in range(1, 6))
        // 3073
    )


def prove_accuracy(arguments: argparse.Namespace, verdict: proof.Verdict) -> None:
    data = proof.require_data("cifar10-subset")
    passes, control_epochs = cost(images_in(data), arguments.epochs, arguments.fusion_epochs)
    name = f"fusion-{arguments.network}-{arguments.epochs}-{arguments.fusion_epochs}"
    experiment = arguments.runs / f"{name}.toml"
    experiment.parent.mkdir(parents=True, exist_ok=True)
    experiment.write_text(
        (STAGES + EVALUATION).format(
            name=name, data=data, network=arguments.network, epochs=arguments.epochs,
            fusion_epochs=arguments.fusion_epochs, control_epochs=control_epochs,
            fusions=toml_list(arguments.fusions), batch=64, checkpoint_steps=0, parameters="",
            common=f"[matrix.grid]\nseed = {list(range(arguments.seeds))}",
        )
    )  # fmt: skip
    print(f"{passes} images through a {arguments.network}; control {control_epochs} epochs")
    proof.muster_run(experiment, arguments.runs)
    found: dict[str, list[dict[str, float]]] = {fusion: [] for fusion in arguments.fusions}
    for task in finished(arguments.runs, name, "evaluation"):
        fusion = next(f for f in arguments.fusions if f"-{f}-" in f"{task.name}-")
        found[fusion].append(proof.rows(task)[-1])
    for fusion, rows in found.items():
        for what in ("global", "best_expert", "control", "fused", "experts_mean"):
            show(f"{fusion}, {what}, % right", [row[f"test_{what}_accuracy"] for row in rows])
        for what in ("best_expert", "control"):
            show(f"{fusion}, gain over {what}, points", [row[f"gain_over_{what}"] for row in rows])
        gains = [100 * row["gain_over_best_expert"] for row in rows]
        verdict.at_least(f"{fusion}: seeds", len(gains), arguments.seeds)
        if fusion == arguments.fusions[0]:
            verdict.at_least(f"{fusion}: points over the best single expert, mean less its spread over seeds",
                             mean(gains) - (stdev(gains) if len(gains) > 1 else 0), 0)  # fmt: skip
    if proof.PEERS_PYTHON.exists():
        prove_loading(arguments.runs, name, data / "cifar-10-batches-bin" / "test_batch.bin", verdict)
    else:
        print(f"components are not loaded into PyTorch: no peer Python at {proof.PEERS_PYTHON}")


def show(what: str, shares: list[float]) -> None:
    values = [100 * share for share in shares]
    spread = f", standard deviation {stdev(values):.2f}" if len(values) > 1 else ""
    print(f"{what}: {' '.join(f'{v:.2f}' for v in values)}  mean {mean(values):.2f}{spread}")


def prove_loading(runs: Path, name: str, test_batch: Path, verdict: proof.Verdict) -> None:
    """PyTorch's counts with the components' files against evaluate_fusion's."""
    fusions = {
        task.name.removeprefix("fusion-").rsplit("-", 1)[0]: task for task in finished(runs, name, "fusion")
    }
    worst = looked_at = 0.0
    for task in finished(runs, name, "evaluation"):
        fusion = fusions[task.name.removeprefix("evaluation-").rsplit("-", 1)[0]]
        command = [proof.PEERS_PYTHON, proof.PEERS / "check_fusion.py", fusion / "artifacts", test_batch]
        theirs = [int(line) for line in proof.checked(command).stdout.split()]
        ours = [row["right"] for row in proof.rows(task, "component")][: len(theirs)]
        worst = max(worst, max(abs(a - b) for a, b in zip(ours, theirs, strict=True)))
        looked_at += len(theirs)
    verdict.at_least("components and means counted by PyTorch", looked_at, 7)
    verdict.at_most("right answers counted otherwise by PyTorch, of one component at most", worst, 1)


def fusion_tasks(runs: Path) -> list[Path]:
    return [task for task in proof.tasks(runs, "killed") if task.name.startswith("fusion-")]


def kill_one_in_an_epoch(runs: Path, launcher: subprocess.Popen[bytes]) -> str:
    """SIGKILL to the first fusion that has a checkpoint, at once: the first comes within an epoch."""
    while launcher.poll() is None:
        if (runs / "killed" / "tasks").is_dir():
            for task in fusion_tasks(runs):
                if any((task / "checkpoints").glob("step-*")):
                    for pid, attempt in runners_of(runs).items():
                        if Path(attempt).parent == task:
                            os.kill(pid, signal.SIGKILL)
                            return task.name
        time.sleep(0.005)
    sys.exit("the run ended before a fusion could be killed")


def prove_kill(verdict: proof.Verdict) -> None:
    with proof.scratch() as folder:
        experiment = folder / "killed.toml"
        experiment.write_text(
            STAGES.format(
                name="killed", data="synthetic", network="resnet_slim", epochs=1, fusion_epochs=2, batch=32,
                fusions=toml_list(FUSIONS), parameters="data.samples = 4000", common="", checkpoint_steps=7,
            )
        )  # fmt: skip
        proof.muster_run(experiment, folder / "undisturbed")
        launcher = subprocess.Popen(
            [proof.BUILD / "bin" / "muster", "run", experiment, "--runs", folder / "disturbed"],
            stdout=subprocess.DEVNULL, env=proof.environment(),
        )  # fmt: skip
        killed = kill_one_in_an_epoch(folder / "disturbed", launcher)
        code = launcher.wait()
        tasks = {task.name: task for task in fusion_tasks(folder / "disturbed")}
        with (attempts_of(tasks[killed])[0] / "metrics-step.csv").open(newline="") as file:
            steps = [int(row["step"]) for row in csv.DictReader(file) if row["step"]]
        steps_per_epoch = 640 // 32
        print(f"killed: {killed} after step {steps[-1]} of {steps_per_epoch} an epoch; exit status {code}")
        same = rows = 0
        for task in fusion_tasks(folder / "undisturbed"):
            other = tasks[task.name]
            print(f"{task.name}: {len(attempts_of(other))} attempts")
            files = [f"artifacts/{component}.safetensors" for component in COMPONENTS]
            same += all(checksum(task / file) == checksum(other / file) for file in files)
            rows += [r["global_loss"] for r in proof.rows(task)] == [
                r["global_loss"] for r in proof.rows(other)
            ]
        run = next(path for path in (folder / "disturbed" / "killed").iterdir() if path.name != "tasks")
        with (run / "summary.csv").open(newline="") as file:
            table = [row for row in csv.DictReader(file) if row["label"].startswith("fusion-")]
        complete = [
            row for row in table if row["state"] == "done" and float(row["final_global_accuracy"]) >= 0
        ]
        verdict.at_least(
            "steps from the end of an epoch at which it was killed", steps[-1] % steps_per_epoch, 1
        )
        verdict.at_least("attempts of the one that was killed", len(attempts_of(tasks[killed])), 2)
        others = [len(attempts_of(task)) for name, task in tasks.items() if name != killed]
        verdict.at_most("attempts of any other", max(others), 1)
        verdict.at_least("fusions whose components are bitwise the undisturbed ones", same, 4)
        verdict.at_least("fusions whose rows are bitwise the undisturbed ones", rows, 4)
        verdict.at_least("fusions in the table, done, with their metrics", len(complete), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=proof.ROOT / "results" / "runs" / "fusion")
    parser.add_argument("--only", choices=["accuracy", "kill"])
    parser.add_argument("--network", default="resnet_slim")
    parser.add_argument("--fusions", nargs="+", default=FUSIONS, help="the first is judged")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--fusion-epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    verdict = proof.Verdict()
    if arguments.only != "accuracy":
        prove_kill(verdict)
    if arguments.only != "kill":
        prove_accuracy(arguments, verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
