#!/usr/bin/env python3
"""Checks that no layer reaches above itself, in its includes and in what its programs link (docs/design.md).

    layers.py [--build FOLDER]

Prints one line a violation; exit status 1 if there is any.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')

MPI = re.compile(r"^mpi\.h$")
HDF5 = re.compile(r"^(hdf5|H5\w+)\.h$")
TORCH = re.compile(r"^(torch|ATen|c10)/")
CUDA = re.compile(r"^(cuda\w*|nccl|nvml)\.h$|^cuda/")
TOML = re.compile(r"^toml(\+\+|plusplus)?(/|\.h)")
JSON = re.compile(r"^nlohmann/")


@dataclass(frozen=True)
class Layer:
    """What a folder may include of ours, and which libraries' headers are kept out of it."""

    ours: tuple[str, ...]
    barred: tuple[re.Pattern, ...]


RULES = {
    "core": Layer(("core/",), (MPI, HDF5, TORCH, CUDA)),
    "results": Layer(("results/", "core/"), (MPI, TORCH, CUDA)),
    "slurm": Layer(("slurm/", "core/"), (MPI, HDF5, TORCH, CUDA)),
    "launcher": Layer(("launcher/", "slurm/", "results/", "core/"), (MPI, HDF5, TORCH, CUDA)),
    "runner": Layer(("runner/", "results/", "core/"), (TORCH,)),
    "workloads": Layer(
        (
            "workloads/",
            "runner/workload.hpp",
            "runner/communicator.hpp",
            "runner/device_communicator.hpp",
            "core/",
        ),
        (MPI, HDF5),
    ),
}
# Headers that other folders include show none of these.
BARRED_IN_SHARED_HEADERS = (MPI, HDF5, CUDA, TOML, JSON)

# What a built file must not need, by how the library's name begins.
LINKS = {
    "bin/muster": ("libmpi", "libtorch", "libc10", "libcuda", "libnccl"),
    "bin/muster-shim": ("libmpi", "libtorch", "libc10", "libcuda", "libnccl", "libhdf5"),
    "bin/muster-runner": ("libtorch", "libc10", "libcuda", "libnccl"),
}


@dataclass(frozen=True)
class Include:
    file: Path  # relative to the root
    line: int
    what: str

    @property
    def layer(self) -> str:
        return self.file.parts[0]

    @property
    def is_ours(self) -> bool:
        return self.what.split("/")[0] in RULES


def read_includes(root: Path) -> list[Include]:
    includes = []
    for name in RULES:
        for file in sorted((root / name).rglob("*")):
            if file.suffix in (".hpp", ".cpp", ".cu", ".cuh"):
                lines = enumerate(file.read_text().splitlines(), 1)
                found = ((number, INCLUDE.match(line)) for number, line in lines)
                includes += [
                    Include(file.relative_to(root), number, match[1]) for number, match in found if match
                ]
    return includes


def shared_headers(includes: list[Include]) -> set[str]:
    """Headers that another folder's file includes, directly or through other headers."""
    below: dict[str, set[str]] = {}
    for include in includes:
        if include.is_ours:
            below.setdefault(str(include.file), set()).add(include.what)
    waiting = [i.what for i in includes if i.is_ours and i.what.split("/")[0] != i.layer]
    seen: set[str] = set()
    while waiting:
        header = waiting.pop()
        if header not in seen:
            seen.add(header)
            waiting += below.get(header, ())
    return seen


def include_faults(root: Path) -> list[str]:
    faults = []
    includes = read_includes(root)
    shared = shared_headers(includes)
    for include in includes:
        rule = RULES[include.layer]
        place = f"{include.file}:{include.line}"
        if include.is_ours and not include.what.startswith(rule.ours):
            faults.append(
                f"{place}: {include.layer}/ may not include {include.what}, only {', '.join(rule.ours)}"
            )
        elif any(pattern.search(include.what) for pattern in rule.barred):
            faults.append(f"{place}: {include.layer}/ may not include <{include.what}>")
        elif str(include.file) in shared and any(p.search(include.what) for p in BARRED_IN_SHARED_HEADERS):
            faults.append(
                f"{place}: other folders include this header, so <{include.what}> belongs in a .cpp file"
            )
    return faults


def needed_libraries(file: Path) -> list[str]:
    """All that the loader would map, whole chain; `ldd` names each at the start of a line."""
    text = subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def link_faults(build: Path) -> list[str]:
    faults = []
    for program, barred in LINKS.items():
        file = build / program
        if not file.exists():
            faults.append(f"{program} is not built")
            continue
        found = [library for library in needed_libraries(file) if library.startswith(barred)]
        faults += [f"{program} may not link {library}" for library in found]
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, help="also check what this build's programs link")
    parser.add_argument("--root", type=Path, default=ROOT)
    arguments = parser.parse_args()
    faults = include_faults(arguments.root)
    if arguments.build:
        faults += link_faults(arguments.build)
    print("\n".join(faults) if faults else "layers: each folder uses only what lies below it")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
