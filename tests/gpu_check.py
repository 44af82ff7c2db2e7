#!/usr/bin/env python3
"""Names this machine's GPUs, runs the bundle's tests and benchmarks that need one, and writes a report.

The two files are gpu-check.json and gpu-check.md. To be called by the Python that has PyTorch; nothing beyond
its standard library is wanted, but by a benchmark in Python. Ends after 8 minutes at the latest. Exit status:
0 where tests passed and none failed, 1 where a test or benchmark failed, was cut off, or no test passed,
2 usage, 5 without a GPU, 7 without PyTorch of the bundle's version. A bar that a benchmark misses is no
failure: the table has both.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 8 * 60
ASKED = ["index", "name", "uuid", "pci.bus_id", "memory.total", "driver_version", "power.limit"]
EACH_RANK = 'GTEST_OUTPUT="json:$0/${OMPI_COMM_WORLD_RANK:-0}.json" exec "$1"'


def stop(code: int, line: str) -> None:
    print(f"gpu-check: {line}", file=sys.stderr)
    sys.exit(code)


def find_gpus() -> list[dict[str, str]]:
    """What nvidia-smi says of each; [] where there is no driver or no GPU."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return []
    query = [smi, "--query-gpu=" + ",".join(ASKED), "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        return []
    return [
        dict(zip(ASKED, re.split(r",\s*", line), strict=True)) for line in done.stdout.splitlines() if line
    ]


def find_torch(wanted: str) -> tuple[Path, str]:
    """Its folder and version, by MUSTER_TORCH_ROOT or as a package of this Python; it is not imported."""
    root = os.environ.get("MUSTER_TORCH_ROOT")
    if not root:
        found = importlib.util.find_spec("torch")
        if found is None or not found.submodule_search_locations:
            stop(7, f"{sys.executable} has no PyTorch {wanted}: call this by the Python that has it")
        root = found.submodule_search_locations[0]
    about = Path(root) / "version.py"
    match = re.search(r"^__version__ = '([^']+)'", about.read_text() if about.exists() else "", re.MULTILINE)
    version = match[1] if match else "of no known version"
    if version.partition("+")[0] != wanted:
        stop(7, f"the bundle was built against PyTorch {wanted}, and {root} is {version}")
    return Path(root).resolve(), version


def test_environment(bundle: Path, about: dict, torch: Path) -> dict[str, str]:
    libraries = [torch / "lib", *sorted(torch.parent.glob("nvidia/*/lib"))]
    before = os.environ.get("LD_LIBRARY_PATH")
    environment = dict(os.environ, MUSTER_TORCH_ROOT=str(torch))
    environment["LD_LIBRARY_PATH"] = ":".join([*map(str, libraries), *([before] if before else [])])
    environment |= {name: str(bundle / path) for name, path in about["mpi_environment"].items()}
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return environment


def read_reports(folder: Path) -> dict[str, str]:
    """State of each test; one that failed on any rank has failed."""
    states: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")):
        for suite in json.loads(file.read_text())["testsuites"]:
            for test in suite["testsuite"]:
                name = f"{test['classname']}.{test['name']}"
                if test.get("failures"):
                    states[name] = "failed"
                elif states.get(name) != "failed":
                    states[name] = "skipped" if test["result"] == "SKIPPED" else "passed"
    return states


def run_for(seconds: float, command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Exit code, 124 where it was cut off, and all that it said."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True)  # fmt: skip
    for patience, signal_after in ((seconds, signal.SIGTERM), (5, signal.SIGKILL)):
        try:
            said, _ = process.communicate(timeout=patience)
            return (process.returncode if patience == seconds else 124), said
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal_after)
    return 124, process.communicate()[0]


def run_test(program: Path, ranks: int, mpirun: Path, environment: dict[str, str], seconds: float) -> dict:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = ["/bin/sh", "-c", EACH_RANK, folder, str(program)]
        if ranks > 1:
            command = [str(mpirun), "--bind-to", "none", "--oversubscribe", "-n", str(ranks), *command]
        code, said = run_for(seconds, command, environment)
        states = read_reports(Path(folder))
    named = {
        state: sorted(n for n, s in states.items() if s == state) for state in ("passed", "failed", "skipped")
    }
    report = {"program": program.name, "ranks": ranks, "exit_code": code, **named}
    report["seconds"] = round(time.monotonic() - started, 1)
    if code != 0:
        report["said"] = said.splitlines()[-20:]
    return report


def run_benchmark(program: Path, environment: dict[str, str], seconds: float) -> dict:
    """Each line that it prints in JSON is a row; it may read how long it may take."""
    command = [sys.executable] if program.suffix == ".py" else []
    environment = dict(environment, GPU_CHECK_SECONDS=f"{seconds:.0f}")
    code, said = run_for(seconds, [*command, str(program)], environment)
    rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    report = {"program": program.name, "exit_code": code, "rows": rows}
    if code != 0 or not rows:
        report["said"] = [line for line in said.splitlines() if not line.startswith("{")][-60:]
    return report


def as_markdown(report: dict) -> str:
    where = "{date}, {host}, PyTorch {torch}, Python {python}, {seconds} s".format(**report)
    lines = [f"# gpu-check of muster {report['muster']}", "", where, ""]
    lines += ["| GPU | " + " | ".join(ASKED[1:]) + " |", "| --- " * len(ASKED) + "|"]
    lines += ["| " + " | ".join(gpu[name] for name in ASKED) + " |" for gpu in report["gpus"]]
    lines += [
        "",
        "| test program | ranks | passed | failed | skipped | seconds | exit code |",
        "| --- " * 7 + "|",
    ]
    for test in report["tests"]:
        counts = [len(test[state]) for state in ("passed", "failed", "skipped")]
        cells = [test["program"], test["ranks"], *counts, test["seconds"], test["exit_code"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for benchmark in report["benchmarks"]:
        rows = benchmark["rows"]
        lines += ["", f"{benchmark['program']}, exit code {benchmark['exit_code']}:", ""]
        if rows:
            lines += ["| " + " | ".join(rows[0]) + " |", "| --- " * len(rows[0]) + "|"]
        lines += ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
        lines += benchmark.get("said", [])
    for state in ("failed", "skipped"):
        names = [f"{test['program']} {name}" for test in report["tests"] for name in test[state]]
        if names:
            lines += ["", f"{state}:", "", *(f"- {name}" for name in names)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path(), help="folder of the two files, else the current one"
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    bundle = Path(__file__).resolve().parents[1]
    about = json.loads((bundle / "bundle.json").read_text())
    gpus = find_gpus()
    if not gpus:
        stop(5, "no GPU here (nvidia-smi names none), so nothing was run")
    torch, version = find_torch(about["torch"])
    environment = test_environment(bundle, about, torch)
    report = {
        "muster": about["muster"],
        "host": platform.node(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "python": platform.python_version(),
        "torch": version,
        "gpus": gpus,
        "tests": [],
        "benchmarks": [],
    }
    tests = bundle / "lib/muster/gpu-tests"
    for line in (tests / "tests.txt").read_text().splitlines() if tests.exists() else []:
        name, ranks = line.split()
        left = SECONDS - (time.monotonic() - started)
        result = run_test(
            tests / name, int(ranks), bundle / about["mpirun"], environment, max(left - 10, 0.1)
        )
        print(f"{name}, {ranks} ranks: {len(result['passed'])} passed, {len(result['failed'])} failed, "
              f"{len(result['skipped'])} skipped, exit code {result['exit_code']}", flush=True)  # fmt: skip
        report["tests"].append(result)
    named = tests / "benchmarks.txt"
    for name in named.read_text().split() if named.exists() else []:
        left = SECONDS - (time.monotonic() - started)
        result = run_benchmark(tests / name, environment, max(left - 10, 0.1))
        lines = [f"{name}, exit code {result['exit_code']}:", *map(json.dumps, result["rows"])]
        print(*lines, sep="\n", flush=True)
        report["benchmarks"].append(result)
    report["seconds"] = round(time.monotonic() - started, 1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "gpu-check.json").write_text(json.dumps(report, indent=2) + "\n")
    (arguments.output / "gpu-check.md").write_text(as_markdown(report))
    if not any(test["passed"] for test in report["tests"]):
        stop(
            1,
            "no test passed: "
            + ("none did" if report["tests"] else "this bundle carries none that needs a GPU"),
        )
    failed = any(test["exit_code"] != 0 or test["failed"] for test in report["tests"])
    sys.exit(1 if failed or any(one["exit_code"] != 0 for one in report["benchmarks"]) else 0)


if __name__ == "__main__":
    main()
