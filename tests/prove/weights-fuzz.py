#!/usr/bin/env python3
# Millions of damaged files for every reader of weights, under sanitizers (needs clang-16).
"""libFuzzer on the readers of .safetensors, of torch.save's files and of CIFAR's pickles.

Corpora stay in the fuzz build's folder, and so does what was run: a call with a larger --inputs goes
on, also after Ctrl-C. Inputs count for the very program that ran them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof

FUZZ_BUILD = proof.ROOT / "build-fuzz"
PLACE = FUZZ_BUILD / "weights-fuzz"
READERS = ("safetensors", "torch", "pickle")
LONGEST = 2048  # bytes of an input: seeds have 20 to 1,800
CHUNK = 500_000  # inputs of a process
INTERRUPTED = 72  # libFuzzer's exit status then
LIBFUZZER = [f"-max_len={LONGEST}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
# A hundred or so allocations an input: a small quarantine stays in the cache.
SANITIZERS = {
    "ASAN_OPTIONS": "quarantine_size_mb=8:malloc_context_size=4",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}
NUMPY_BATCH = (
    b"\x80\x02}q\x00(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    b"K\x00tb\x89U\x06abcdeftbU\x06labels]q\x01(K\x01M\x02\x00eU\x04more\x8c\x01x\x94h\x01G?\xe0\0\0\0\0\0\0u."
)


def safetensors(tensors: dict[str, tuple[str, list[int], int]], metadata: dict[str, str] | None) -> bytes:
    """Name to type, shape, bytes."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def write_seeds(reader: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if reader == "torch":
        proof.checked([sys.executable, proof.ROOT / "tests/core/torch_files.py", folder])
        for file in folder.iterdir():
            if file.stat().st_size > LONGEST:
                file.unlink()
    elif reader == "safetensors":
        one = {"a": ("F32", [2, 3], 24)}
        more = {"m.b": ("F64", [], 8), "m.c": ("BF16", [3], 6), "m.d": ("BOOL", [0, 4], 0)}
        for i, file in enumerate(
            (safetensors(one, None), safetensors(one | more, {"step": "5"}), safetensors({}, None))
        ):
            (folder / f"{i}.safetensors").write_bytes(file)
    else:
        (folder / "batch").write_bytes(NUMPY_BATCH)


class Ledger:
    """What was run, a line a process."""

    FIELDS = ("program", "inputs", "cpu_seconds", "edges", "commit")

    def __init__(self, reader: str) -> None:
        self.program = FUZZ_BUILD / "bin" / f"fuzz_{reader}"
        self.digest = hashlib.sha256(self.program.read_bytes()).hexdigest()[:16]
        self.file = PLACE / f"{reader}.csv"

    def rows(self) -> list[dict[str, str]]:
        if not self.file.exists():
            return []
        with self.file.open(newline="") as file:
            return [row for row in csv.DictReader(file) if row["program"] == self.digest]

    def inputs(self) -> int:
        return sum(int(row["inputs"]) for row in self.rows())

    def append(self, *figures: object) -> None:
        new = not self.file.exists()
        with self.file.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(self.FIELDS)
            writer.writerow((self.digest, *figures))


def commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(proof.ROOT), "describe", "--always", "--dirty", "--abbrev=12"],
        text=True,
        capture_output=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def cpu_seconds() -> float:
    """Of the processes that ended: the machine may have other work."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def fuzz(reader: str, inputs: int, seed: int) -> tuple[int, float, int, bool]:
    """One process; ends the proof where it finds something. Inputs, CPU seconds, edges, stopped or not."""
    corpus, seeds, finds = (PLACE / what / reader for what in ("corpus", "seeds", "finds"))
    for folder in (corpus, finds):
        folder.mkdir(parents=True, exist_ok=True)
    command = [FUZZ_BUILD / "bin" / f"fuzz_{reader}", corpus, seeds, *LIBFUZZER]
    command += [f"-runs={inputs}", f"-seed={seed}", f"-artifact_prefix={finds}/"]
    before = cpu_seconds()
    process = subprocess.Popen(
        [str(c) for c in command],
        text=True,
        errors="replace",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | SANITIZERS,
    )
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, lambda *_: process.terminate())
    _, said = process.communicate()
    seconds = cpu_seconds() - before
    ran = re.search(r"stat::number_of_executed_units: (\d+)", said)
    edges = re.findall(r" cov: (\d+)", said)
    if process.returncode not in (0, INTERRUPTED) or not ran or not edges:
        print(said[-6000:])
        print(f"found by fuzz_{reader}; the input lies in {finds}\nverdict: FAIL")
        sys.exit(1)
    return int(ran[1]), seconds, int(edges[-1]), process.returncode == INTERRUPTED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000, help="of all readers together")
    parser.add_argument("--no-build", action="store_true", help="take the fuzzers as they are")
    arguments = parser.parse_args()
    if not arguments.no_build:
        subprocess.run([proof.ROOT / "dev", "build", "fuzz", "fuzz_weights"], check=True)
    share = -(-arguments.inputs // len(READERS))
    total = 0
    for reader in READERS:
        write_seeds(reader, PLACE / "seeds" / reader)
        ledger = Ledger(reader)
        while (done := ledger.inputs()) < share:
            chunk = min(CHUNK, share - done)
            inputs, seconds, edges, stopped = fuzz(reader, chunk, seed=len(ledger.rows()) + 1)
            ledger.append(inputs, f"{seconds:.1f}", edges, commit())
            print(
                f"  {reader}: {inputs} inputs, {inputs / seconds:.0f} a CPU second, {edges} edges", flush=True
            )
            if stopped:
                sys.exit("stopped: the same command goes on")
        rows, inputs = ledger.rows(), ledger.inputs()
        seconds = sum(float(row["cpu_seconds"]) for row in rows)
        kept = sum(1 for _ in (PLACE / "corpus" / reader).iterdir())
        print(
            f"{reader}: {inputs} inputs in {len(rows)} processes, {inputs / seconds:.0f} a CPU second, "
            f"{rows[-1]['edges']} edges, {kept} inputs kept, no finding"
        )
        total += inputs
    verdict = proof.Verdict()
    verdict.at_least("inputs without a crash, leak, hang or error of another kind", total, arguments.inputs)
    verdict.finish()


if __name__ == "__main__":
    main()
