#!/usr/bin/env python3
# Slurm: what a step costs over a bare srun, one by one and 200 at once; 1,000 tasks submitted as an array.
"""On a test cluster. Bare srun has the arguments of muster's own steps, in the same job, in turns."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
import proof
from slurm_cluster import MUSTER, Cluster

EXPERIMENT = """
name = "{name}"
workload = "exec"
command = {command}
[matrix.grid]
n = {cells}
"""
STAMP = ["bash", "-c", "echo {n} $EPOCHREALTIME >> stamps"]


def experiment(folder: Path, name: str, command: list[str], tasks: int) -> Path:
    file = folder / f"{name}.toml"
    file.write_text(EXPERIMENT.format(name=name, command=json.dumps(command), cells=list(range(tasks))))
    return file


def run_muster(folder: Path, name: str, command: list[str], tasks: int, *options: str) -> float:
    file = experiment(folder, name, command, tasks)
    start = time.perf_counter()
    subprocess.run(
        [MUSTER, "run", file, "--runs", folder / "runs", *options],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    return time.perf_counter() - start


def starting_times(folder: Path, name: str) -> dict[str, float]:
    """When the launcher wrote that it starts each task: its last act before it does."""
    times = {}
    for file in (folder / "runs" / name).glob("*/journal/*.jsonl"):
        for line in file.read_text().splitlines():
            entry = json.loads(line.partition(" ")[2])
            if entry["state"] == "starting":
                times[entry["task"].rpartition("-")[0].removeprefix("n")] = entry["unix_time"]
    return times


def stamps(folder: Path) -> dict[str, float]:
    lines = (folder / "stamps").read_text().splitlines()
    (folder / "stamps").unlink()
    return {n: float(at) for n, at in (line.split() for line in lines)}


def bare(folder: Path, name: str, command: str) -> str:
    """A line of bash: srun as muster called it for a task of `name`, with another command."""
    order = json.loads(next((folder / "runs" / name / "tasks").glob("*/attempt-1/gang.json")).read_text())
    argv = order["argv"]
    srun = argv[: next(at for at, word in enumerate(argv) if word.endswith("/muster-shim"))]
    words = ["env"]
    for variable in order.get("unset", []):
        words += ["-u", variable]
    words += [f"{variable}={value}" for variable, value in order["environment"].items()]
    return f"{shlex.join(words)} {shlex.join(srun)} {command}"


def inside(folder: Path, blocks: int, a_block: int) -> None:
    """In a job: prints what it measured as JSON."""
    launches: dict[str, list[float]] = {"muster": [], "srun": []}
    for block in range(blocks):
        name = f"block{block}"
        run_muster(folder, name, STAMP, a_block)
        began, seen = starting_times(folder, name), stamps(folder)
        launches["muster"] += [seen[n] - began[n] for n in seen]
        line = bare(folder, name, "bash -c 'echo $0 $EPOCHREALTIME >> stamps' $n")
        loop = f"for n in $(seq {a_block}); do echo $n $EPOCHREALTIME >> began; {line}; done"
        subprocess.run(["bash", "-c", loop], check=True, cwd=folder)
        began = {
            n: float(at) for n, at in (line.split() for line in (folder / "began").read_text().splitlines())
        }
        (folder / "began").unlink()
        seen = stamps(folder)
        launches["srun"] += [seen[n] - began[n] for n in seen]
    (folder / "launches.json").write_text(json.dumps(launches))


def inside_many(folder: Path, tasks: int, at_once: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {"muster": [], "srun": []}
    for number in range(rounds):
        name = f"many{number}"
        rates["muster"].append(tasks / run_muster(folder, name, ["true", "{n}"], tasks))
        script = folder / f"bare{number}.sh"
        script.write_text("exec " + bare(folder, name, "true") + "\n")
        start = time.perf_counter()
        subprocess.run(
            ["xargs", "-n1", f"-P{at_once}", "bash", script],
            input="\n".join(map(str, range(tasks))),
            text=True,
            check=True,
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
        rates["srun"].append(tasks / (time.perf_counter() - start))
    (folder / "rates.json").write_text(json.dumps(rates))


def in_job(cluster: Cluster, folder: Path, words: list[str], *options: str) -> None:
    folder.mkdir()
    job = cluster.sbatch(
        folder, [sys.executable, Path(__file__).resolve(), *words, "--folder", folder], *options
    )
    cluster.wait_for_end(job, 900)
    if cluster.state(job) != "COMPLETED":
        raise RuntimeError((folder / "job.log").read_text()[-2000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=6, help="of launches by muster, then by bare srun")
    parser.add_argument("--rounds", type=int, default=5, help="of 200 tasks each")
    parser.add_argument("--inside", choices=["launch", "many"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside == "launch":
        inside(arguments.folder, arguments.blocks, 10)
        return
    if arguments.inside == "many":
        inside_many(arguments.folder, 200, 32, arguments.rounds)
        return
    verdict = proof.Verdict()
    with proof.scratch() as folder, Cluster(folder, "--nodes", "2") as cluster:
        in_job(
            cluster, folder / "one", ["--inside", "launch", "--blocks", str(arguments.blocks)], "-N1", "-n1"
        )
        launches = json.loads((folder / "one" / "launches.json").read_text())
        print("ms from the start of a step to its command, one by one:")
        for who, seconds in launches.items():
            print(f"  {who:<7} {proof.shown([1000 * s for s in seconds])}")
        cost = median(launches["muster"]) - median(launches["srun"])
        verdict.at_most("launch of a step over bare srun, ms", 1000 * cost, 5)

        in_job(
            cluster,
            folder / "many",
            ["--inside", "many", "--rounds", str(arguments.rounds)],
            "-N2",
            "--ntasks-per-node=16",
        )
        rates = json.loads((folder / "many" / "rates.json").read_text())
        print("tasks of `true` a second, 200 tasks on 32 CPUs (muster: the whole `muster run`):")
        for who, values in rates.items():
            print(f"  {who:<7} {proof.shown(values)}")
        verdict.at_least(
            "rate of 200 packed tasks over that of bare concurrent srun",
            median(rates["muster"]) / median(rates["srun"]),
            0.9,
        )

        file = experiment(folder, "array", ["true", "{n}"], 1000)
        seconds = []
        for number in range(3):
            start = time.perf_counter()
            cluster.said_by(
                MUSTER, "submit", file, "--array", "--runs", folder / f"array{number}", cwd=folder
            )
            seconds.append(time.perf_counter() - start)
            cluster.run("scancel", "--user=" + cluster.said_by("id", "-un"))
        print(f"s that `muster submit --array` took, 1,000 tasks: {proof.shown(seconds, 2)}")
        verdict.at_most("seconds to submit 1,000 tasks as an array", median(seconds), 1)
    verdict.finish()


if __name__ == "__main__":
    main()
