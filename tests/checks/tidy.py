#!/usr/bin/env python3
"""Runs clang-tidy on sources, as their build compiles them but without GCC's precompiled headers.

tidy.py COMPILE_COMMANDS [SOURCE...]

Files that the build does not compile are passed over. Exit status 1 if there is a finding.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TIDY = "clang-tidy-16"


def without_gcc_only(command: list[str]) -> list[str]:
    """The compile command as clang understands it, without compiler warnings: GCC's count."""
    kept: list[str] = []
    at = 0
    while at < len(command):
        word = command[at]
        if word == "-include" and "cmake_pch" in command[at + 1]:
            at += 2
            continue
        if Path(word).name != "ccache" and word not in ("-fpch-preprocess", "-Winvalid-pch"):
            kept.append(word)
        at += 1
    return [*kept, "-w"]


def main() -> int:
    database, *sources = sys.argv[1:]
    wanted = {Path(source).resolve() for source in sources}
    entries = [entry for entry in json.loads(Path(database).read_text()) if Path(entry["file"]) in wanted]
    for entry in entries:
        entry["command"] = shlex.join(without_gcc_only(shlex.split(entry["command"])))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "compile_commands.json").write_text(json.dumps(entries))

        def tidy(file: str) -> tuple[str, int, str]:
            done = subprocess.run([TIDY, "-p", folder, "--quiet", file], capture_output=True, text=True)
            errors = "" if done.returncode == 0 else done.stderr
            return file, done.returncode, done.stdout + errors

        failed = 0
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for file, status, text in pool.map(tidy, sorted({entry["file"] for entry in entries})):
                if status:
                    failed += 1
                    print(f"{file}:\n{text}")
    print(f"clang-tidy: {len(entries)} files, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
