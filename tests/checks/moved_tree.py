#!/usr/bin/env python3
"""Copies of the built and of the installed tree run where they lie, and a plugin is built against the latter.

moved_tree.py --build FOLDER [unittest's arguments]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = SOURCE / "build"

EXEC_JOB = """name = "greeting"
workload = "exec"
command = ["sh", "-c", "echo hello {word}"]
[parameters]
word = "world"
"""

DDP_JOB = """name = "tiny"
workload = "ddp"
[parameters]
network = "resnet9"
width = 0.05
data.path = "synthetic"
data.samples = 64
data.test_samples = 32
epochs = 1
batch = 32
"""


def run(*command: str | Path, **options) -> str:
    """Standard output; a failure shows everything that was said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class MovedTree(unittest.TestCase):
    def setUp(self):
        # Below the build folder, so that hard links do for a copy of LibTorch.
        folder = tempfile.TemporaryDirectory(prefix="moved-", dir=BUILD)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def assert_runs(self, prefix: Path):
        """The programs below `prefix` plan and run jobs, with nothing from where they were built."""
        commit = run("git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD", cwd=SOURCE).strip()
        self.assertIn(commit, run(prefix / "bin/muster", "--version"))
        programs = [prefix / "bin" / name for name in ("muster", "muster-shim", "muster-runner")]
        plugins = sorted((prefix / "lib/muster/workloads").glob("*.so"))
        for file in programs + plugins:
            for line in run("ldd", file).splitlines():
                self.assertNotIn("not found", line, f"{file} misses a library")
                found = line.partition("=> ")[2]
                if found.startswith(str(SOURCE)):
                    self.assertTrue(found.startswith(str(self.folder)), f"{file} still uses {found}")
        self.assert_job_runs(prefix, EXEC_JOB, "greeting")
        if prefix.joinpath("lib/muster/workloads/ddp.so").exists():
            self.assert_job_runs(prefix, DDP_JOB, "tiny")

    def assert_job_runs(self, prefix: Path, text: str, name: str):
        experiment = self.folder / f"{name}.toml"
        experiment.write_text(text)
        runs = self.folder / "runs"
        run(prefix / "bin/muster", "plan", experiment, "--runs", runs)
        run(prefix / "bin/muster", "run", experiment, "--runs", runs)
        self.assertEqual(len(list((runs / name / "tasks").glob("*/done.json"))), 1)

    def install(self) -> Path:
        run("cmake", "--install", BUILD, "--prefix", self.folder / "first")
        return (self.folder / "first").rename(self.folder / "second")

    def test_built_tree_runs_elsewhere(self):
        copy = self.folder / "muster"
        build = copy / BUILD.relative_to(SOURCE)
        build.mkdir(parents=True)
        run("cp", "-al", BUILD / "bin", build)
        if (BUILD / "lib").exists():  # else built without workloads
            run("cp", "-al", BUILD / "lib", build)
        run("cp", "-al", SOURCE / ".venv", copy / ".venv")
        self.assert_runs(build)

    def test_installed_tree_runs_elsewhere(self):
        prefix = self.install()
        self.assert_runs(prefix)
        self.assertIn("quickstart.toml", os.listdir(prefix / "share/muster/experiments"))

    def test_example_plugin_builds_and_runs(self):
        prefix = self.install()
        plugin = self.folder / "plugin"
        shutil.copytree(SOURCE / "tests/example_plugin", plugin)
        build = plugin / "build"
        run("cmake", "-G", "Ninja", "-S", plugin, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", build)
        shutil.copy(plugin / "pi.toml", build)
        runs = self.folder / "runs"
        run(prefix / "bin/muster", "run", build / "pi.toml", "--runs", runs)
        metrics = sorted((runs / "pi/tasks").glob("*/metrics.csv"))
        self.assertEqual(len(metrics), 2)
        for file in metrics:
            header, *rows = file.read_text().splitlines()
            self.assertEqual(header, "attempt,unix_time,step,pi,error")
            self.assertEqual(len(rows), 5)
            self.assertLess(float(rows[-1].split(",")[-1]), 0.1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=BUILD)
    arguments, rest = parser.parse_known_args()
    BUILD = arguments.build.resolve()
    if os.geteuid() == 0:
        os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    unittest.main(argv=[sys.argv[0], *rest])
