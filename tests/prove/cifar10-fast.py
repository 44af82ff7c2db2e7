#!/usr/bin/env python3
# The recipe of experiments/cifar10_fast.toml beside the same in PyTorch: accuracy and images a second.
"""On the CPU, a core each, at the same time; narrower, on fewer images than the experiment. With --gpu as the
experiment is, on one GPU, one after the other."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parent))
import proof

CHANCE = 10  # % right


def flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in table.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return values


def parameters(arguments: argparse.Namespace, data: Path) -> dict[str, object]:
    """The experiment's own but for its size."""
    given = tomllib.loads((proof.ROOT / "experiments" / "cifar10_fast.toml").read_text())["parameters"]
    values = flat(given)
    stretch = arguments.epochs / values["epochs"]
    values |= {
        "data.path": str(data), "width": arguments.width,
        "epochs": arguments.epochs, "batch": arguments.batch,
        "schedule.knots": [knot * stretch for knot in values["schedule.knots"]],
    }  # fmt: skip
    return {key: json.dumps(value) for key, value in values.items()}


def write_experiment(arguments: argparse.Namespace, data: Path, folder: Path, seed: int) -> Path:
    experiment = folder / f"fast-{seed}.toml"
    gpu = proof.on_a_gpu() if arguments.gpu else ""
    proof.write_cells(experiment, "ddp", parameters(arguments, data), [{"seed": seed}], gpu)
    return experiment


def peer_command(arguments: argparse.Namespace, data: Path, seed: int) -> list[str]:
    command = [
        proof.PEERS_PYTHON, proof.PEERS / "airbench94.py", data, "--seed", seed, "--epochs", arguments.epochs,
        "--batch", arguments.batch, "--width", arguments.width,
        "--device", "cuda" if arguments.gpu else "cpu",
    ]  # fmt: skip
    return [str(word) for word in command]


def side_by_side(
    arguments: argparse.Namespace, data: Path, folder: Path, seed: int
) -> list[dict[str, float]]:
    """Ours and PyTorch's last row of one seed."""
    experiment = write_experiment(arguments, data, folder, seed)
    command = peer_command(arguments, data, seed)
    if arguments.gpu:
        proof.muster_run(experiment, folder)
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env=proof.environment()) as peer:
        if not arguments.gpu:
            proof.muster_run(experiment, folder)
        said, _ = peer.communicate()
    if peer.returncode != 0:
        sys.exit(f"the peer ended with exit status {peer.returncode}")
    rows = proof.rows(proof.finished(folder, experiment.stem)[0])
    ours = {
        "test_accuracy": rows[-1]["test_accuracy"],
        "images_per_second": mean(row["images_per_second"] for row in rows),
    }
    return [ours, json.loads(said.splitlines()[-1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="CIFAR-10's binary layout (else the real subset)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gpu", action="store_true", help="both on one GPU, in the experiment's own size")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--width", type=float)
    arguments = parser.parse_args()
    epochs, batch, width = (10, 1024, 1.0) if arguments.gpu else (8, 256, 0.5)
    arguments.epochs = arguments.epochs or epochs
    arguments.batch = arguments.batch or batch
    arguments.width = arguments.width or width
    proof.require_peers()
    verdict = proof.Verdict()
    accuracy: list[list[float]] = [[], []]
    speed: list[list[float]] = [[], []]
    with proof.scratch() as folder:
        data = arguments.data or proof.images_with_more_tests(folder / "images")
        for seed in range(arguments.seeds):
            pair = side_by_side(arguments, data.resolve(), folder, seed)
            for side, row in enumerate(pair):
                accuracy[side].append(100 * row["test_accuracy"])
                speed[side].append(row["images_per_second"])
            print(f"seed {seed}, ours and PyTorch's: " + " ".join(
                f"{a[-1]:.2f} % at {s[-1]:.0f} images/s;" for a, s in zip(accuracy, speed, strict=True)),
                flush=True)  # fmt: skip
    for name, values in (("% right", accuracy), ("images/s", speed)):
        print(f"{name}: ours {proof.shown(values[0], 2)}, PyTorch's {proof.shown(values[1], 2)}")
    difference = mean(accuracy[0]) - mean(accuracy[1])
    spread = sum(stdev(side) ** 2 / len(side) for side in accuracy) ** 0.5 if arguments.seeds > 1 else 0
    print(f"ours less PyTorch's: {difference:+.2f} points, standard error {spread:.2f}")
    verdict.at_least("seeds", arguments.seeds, 3)
    verdict.at_most("|difference of the means| in standard errors, or points where those are below 1",
                    abs(difference) / max(1.0, spread), 2)  # fmt: skip
    verdict.at_least("% right, worst seed, against five times chance", min(accuracy[0]), 5 * CHANCE)
    rates = [ours / peer for ours, peer in zip(*speed, strict=True)]
    verdict.at_least("images/s, ours over PyTorch's, median", sorted(rates)[len(rates) // 2], 1.0)
    verdict.finish()


if __name__ == "__main__":
    main()
