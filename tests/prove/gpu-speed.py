#!/usr/bin/env python3
# Training on one GPU beside eager and compiled PyTorch: ResNet-9's images/s, the fast recipe's accuracy.
"""Each side in turn on the same GPU, round after round. Prints rows, each a line of JSON, for bin/gpu-check.

'images/s' is the median of the rounds, each of the same steps behind the same steps that warm up. Of the fast
recipe it is that of all epochs but the first, and 'seconds' are all of its training. Reading data, compiling
and testing are in neither. Exit status: 0 where all was measured, whatever the bars, else 1. Images that are
not there are no failure: a row says so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
import proof

fast = importlib.import_module("cifar10-fast")

LONGEST = 240  # seconds, where nobody gives less
TO_END = 15  # of those that are left: for ending what runs
LOSSY = proof.DATA / "cifar10-lossy"
COMPILE_MODES = ["default", "reduce-overhead"]
PARAMETERS = """
network = "resnet9"
width = {width}
data.path = "synthetic"
data.samples = {samples}
data.test_samples = 64
epochs = {epochs}
batch = {batch}
lr = 0.01
momentum = 0.9
nesterov = true
weight_decay = 5e-4
augment.crop = 4
augment.flip = true
augment.cutout = 8
precision = "bf16"
evaluate_every = 0
"""


@dataclass(frozen=True)
class Size:
    gpu: bool
    width: float
    batch: int
    steps: int  # an epoch; ResNet-9's first epoch warms up
    epochs: int
    rounds: int
    recipe_batch: int
    recipe_epochs: int


FULL = Size(True, 1.0, 512, 100, 4, 5, 1024, 10)
SMALL = Size(False, 0.125, 8, 2, 2, 1, 16, 2)


class NotMeasuredError(Exception):
    """Why a side has no figure."""


class OutOfTimeError(NotMeasuredError):
    pass


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends what takes longer, and what ends the program, as a side that was not measured."""

    def stop(*_: object) -> None:
        raise OutOfTimeError("out of time")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    except SystemExit as end:
        raise NotMeasuredError(str(end)) from end
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Peer:
    """ResNet-9 in PyTorch, in a process that lives on between the rounds: it compiles once."""

    def __init__(self, size: Size, mode: str | None) -> None:
        self.images = size.batch * size.steps * (size.epochs - 1)
        command = [
            proof.PEERS_PYTHON, proof.PEERS / "ddp_resnet9.py", "--device", "cuda" if size.gpu else "cpu",
            "--dtype", "bf16", "--channels-last", "--augment", "--on-request",
            "--width", round(64 * size.width), "--batch", size.batch, "--images", size.batch * size.steps,
            "--warmup", size.steps, "--steps", size.steps * (size.epochs - 1),
            *(["--compile", mode] if mode else []),
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [str(word) for word in command], text=True, env=proof.environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended, as the answer tells
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def answer(self) -> float:
        line = self.process.stdout.readline()
        if not line:
            raise NotMeasuredError(f"ended with exit status {self.process.wait()}")
        return self.images / sum(json.loads(line)["step_seconds"])

    def images_per_second(self) -> float:
        self.ask()
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def train(size: Size, experiment: Path) -> list[dict[str, float]]:
    """Ours; a row an epoch."""
    proof.muster_run(experiment, experiment.parent)
    task = proof.finished(experiment.parent, experiment.stem)[0]
    if size.gpu and " on GPUs" not in (task / "log.txt").read_text():
        raise NotMeasuredError("muster saw no GPU and trained on the CPU")
    return proof.rows(task)


def images_per_second(size: Size, folder: Path) -> float:
    experiment = folder / f"resnet9-{time.monotonic_ns()}.toml"
    text = PARAMETERS.format(
        width=size.width, samples=size.batch * size.steps, epochs=size.epochs, batch=size.batch
    )
    parameters = dict(line.split(" = ", 1) for line in text.splitlines() if line)
    proof.write_cells(experiment, "ddp", parameters, [{"seed": 0}], proof.on_a_gpu() if size.gpu else "")
    seconds = [row["seconds"] for row in train(size, experiment)[1:]]
    return size.batch * size.steps * len(seconds) / sum(seconds)


@dataclass
class Figures:
    """Of a side: images/s of each round, and why there are no more."""

    samples: list[float]
    accuracy: float | None = None
    seconds: float | None = None
    problem: str = ""


def table(what: str, sides: dict[str, Figures], bar: str) -> bool:
    """Prints a row a side; whether all were measured."""
    compiled = [median(s.samples) for name, s in sides.items() if "compiled" in name and s.samples]
    for name, side in sides.items():
        rate = median(side.samples) if side.samples else None
        row = {
            "what": what,
            "side": f"{name}: {side.problem}" if side.problem else name,
            "images/s": round(rate, 1) if rate else "",
            "times the fastest compiled": round(rate / max(compiled), 3) if rate and compiled else "",
            "% right": round(100 * side.accuracy, 2) if side.accuracy is not None else "",
            "seconds": round(side.seconds, 3) if side.seconds is not None else "",
            "images/s of each round": " ".join(f"{rate:.1f}" for rate in side.samples),
            "bar": bar if name == "muster" else "",
        }
        print(json.dumps(row), flush=True)
    return not any(side.problem for side in sides.values())


def measure_rounds(
    rounds: int, sides: dict[str, Callable[[], float]], figures: dict[str, Figures], until: float
) -> None:
    """One side after the other, and all again while there is time."""
    started = time.monotonic()
    for done in range(rounds):
        a_round = (time.monotonic() - started) / max(done, 1)
        if done > 0 and time.monotonic() + a_round > until:
            break
        for name, side in sides.items():
            if figures[name].problem:
                continue
            try:
                with within(until - time.monotonic()):
                    figures[name].samples.append(side())
            except NotMeasuredError as error:
                if not (figures[name].samples and isinstance(error, OutOfTimeError)):
                    figures[name].problem = str(error)


def measure_recipe(
    size: Size, modes: list[str], data: Path, folder: Path, until: float
) -> dict[str, Figures]:
    """Each side once, whole: accuracy, seconds, and images/s of all epochs but the first."""
    arguments = argparse.Namespace(
        gpu=size.gpu, width=size.width, batch=size.recipe_batch, epochs=size.recipe_epochs
    )

    def ours() -> tuple[float, list[float]]:
        rows = train(size, fast.write_experiment(arguments, data, folder, 0))
        return rows[-1]["test_accuracy"], [row["seconds"] for row in rows]

    def peers(*more: str) -> Callable[[], tuple[float, list[float]]]:
        def call() -> tuple[float, list[float]]:
            said = proof.checked([*fast.peer_command(arguments, data, 0), *more]).stdout
            row = json.loads(said.splitlines()[-1])
            return row["test_accuracy"], row["epoch_seconds"]

        return call

    sides = {"muster": ours, "PyTorch, eager": peers()}
    if modes:
        sides["PyTorch, compiled beforehand"] = peers("--compile", modes[0])
    files = [data / f"data_batch_{i}.bin" for i in range(1, 6)]
    steps = sum(file.stat().st_size for file in files) // proof.RECORD // size.recipe_batch
    figures = {}
    for name, side in sides.items():
        try:
            with within(until - time.monotonic()):
                accuracy, seconds = side()
            rate = steps * size.recipe_batch * len(seconds[1:]) / sum(seconds[1:])
            figures[name] = Figures([rate], accuracy, sum(seconds))
        except NotMeasuredError as error:
            figures[name] = Figures([], problem=str(error))
    return figures


def measure_networks(
    size: Size, peers: dict[str, Peer], folder: Path, ready: float, until: float
) -> dict[str, Figures]:
    sides = {"muster": lambda: images_per_second(size, folder)}
    sides |= {name: peer.images_per_second for name, peer in peers.items()}
    figures = {name: Figures([]) for name in sides}
    for name, peer in peers.items():
        try:
            with within(ready - time.monotonic()):
                peer.answer()  # it has compiled: this first one does not count
        except NotMeasuredError as error:
            figures[name].problem = str(error)
            peer.end()
    measure_rounds(size.rounds, sides, figures, until)
    return figures


def find_images(given: Path | None, folder: Path) -> Path | None:
    """A folder of CIFAR-10's binary layout; none where there are no images."""
    if given:
        return given.resolve()
    if not (LOSSY / "unpack").exists():
        return None
    proof.checked([proof.PEERS_PYTHON, LOSSY / "unpack", folder])
    return folder / "cifar-10-batches-bin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="CIFAR-10's binary layout (else cifar10-lossy, unpacked)")
    parser.add_argument("--seconds", type=float, help="to be done in")
    parser.add_argument("--small", action="store_true", help="tiny, on the CPU: shows that it works, no more")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="(but for --small)")
    arguments = parser.parse_args()
    started = time.monotonic()
    size = SMALL if arguments.small else FULL
    left = float(os.environ.get("GPU_CHECK_SECONDS", LONGEST + TO_END)) - TO_END
    seconds = arguments.seconds or min(LONGEST, left)
    compiles = arguments.compile if arguments.compile is not None else not arguments.small
    modes = COMPILE_MODES if compiles else []
    proof.require_peers()
    names = {"PyTorch, eager": None} | {f"PyTorch, compiled ({mode})": mode for mode in modes}
    with proof.scratch() as folder:
        with contextlib.ExitStack() as stack:
            peers = {name: stack.enter_context(Peer(size, mode)) for name, mode in names.items()}
            for peer in peers.values():
                peer.ask()
            data, problem = None, ""
            try:
                with within(0.4 * seconds):  # while they compile
                    data = find_images(arguments.data, folder)
            except NotMeasuredError as error:
                problem = str(error)
            figures = measure_networks(size, peers, folder, started + 0.4 * seconds, started + 0.6 * seconds)
        well = table(f"ResNet-9, bf16, batch {size.batch}, augmented", figures, ">= 1.0 times")
        if data:
            figures = measure_recipe(size, modes, data, folder, started + seconds)
        else:
            absent = f"no images at {LOSSY}: set MUSTER_TEST_DATA, or give --data"
            figures = {"not measured": Figures([], problem=problem or absent)}
        measured = table("experiments/cifar10_fast.toml, one seed", figures, "")
        if data or problem:
            well = well and measured
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
