"""The one script answers for itself where it cannot go on."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What any system has; no compiler, no package manager, no sudo.
BARE = "bash awk basename cat cut dirname env grep head nproc readlink rm sed sha256sum tail tr".split()


class Dev(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name) / "tree"
        self.tree.joinpath("cmake").mkdir(parents=True)
        shutil.copy(ROOT / "dev", self.tree)
        for file in (ROOT / "cmake").glob("*.txt"):
            shutil.copy(file, self.tree / "cmake")
        self.bare = Path(folder.name) / "bin"
        self.bare.mkdir()
        for tool in BARE:
            (self.bare / tool).symlink_to(shutil.which(tool))

    def dev(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.tree / "dev", *arguments],
            env={"PATH": str(self.bare), "HOME": str(self.tree)} | environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def test_help_names_every_command(self):
        text = self.dev("help").stdout
        commands = "setup build quickstart run muster test check lint fmt bundle gpu-check bench prove"
        for command in commands.split():
            self.assertRegex(text, rf"(?m)^  {command}\b")

    def test_an_unknown_command_is_refused(self):
        done = self.dev("frobnicate")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no command is called 'frobnicate'", done.stderr)

    def test_without_root_what_is_missing_is_named_with_the_way_out(self):
        done = self.dev("setup")
        self.assertNotEqual(done.returncode, 0)
        for word in (
            "cmake",
            "ninja-build",
            "apt-get install",
            "MUSTER_TORCH_ROOT",
            "HDF5_ROOT",
            "module load",
        ):
            self.assertIn(word, done.stderr)
        self.assertFalse((self.tree / ".venv").exists())

    def test_a_sites_software_stands_for_packages(self):
        site = self.tree / "site"
        (site / "include/CLI").mkdir(parents=True)
        (site / "include/CLI/CLI.hpp").touch()
        for tool in ("cmake", "ninja", "mpicc", "mpirun"):
            (self.bare / tool).symlink_to("/bin/true")
        missing = self.dev("setup", CMAKE_PREFIX_PATH=f"/nowhere:{site}").stderr.splitlines()[0]
        self.assertIn("g++", missing)
        for package in ("cmake", "ninja-build", "openmpi", "libcli11"):
            self.assertNotIn(package, missing)

    def test_programs_that_are_not_built_are_said_to_be_missing(self):
        done = self.dev("muster", "--version")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("./dev build", done.stderr)


if __name__ == "__main__":
    unittest.main()
