#!/usr/bin/env python3
"""A bundle's benchmark of training, tiny and on the CPU: every side trains, and one that cannot fails it.

gpu_speed.py --build FOLDER [unittest's arguments]
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = SOURCE / "build"
PYTHON = os.environ.get("MUSTER_PEER_PYTHON", "")
SIDES = ["muster", "PyTorch, eager"]


class GpuSpeed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write_images(self) -> Path:
        draw = random.Random(0)
        for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
            records = [bytes([draw.randrange(10)]) + draw.randbytes(3072) for _ in range(8)]
            (self.folder / name).write_bytes(b"".join(records))
        return self.folder

    def call(self, *arguments: str | Path, build: Path) -> tuple[int, list[dict]]:
        command = [PYTHON, SOURCE / "tests/prove/gpu-speed.py", "--small", *arguments]
        environment = dict(os.environ, MUSTER_BUILD=str(build), MUSTER_TEST_DATA=str(self.folder))
        done = subprocess.run(
            [str(word) for word in command], env=environment, capture_output=True, text=True
        )
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertTrue(rows, done.stderr)
        for row in rows:
            self.assertEqual(list(row), list(rows[0]), "rows of one table have the same columns")
        return done.returncode, rows

    def test_every_side_trains(self):
        code, rows = self.call("--data", self.write_images(), build=BUILD)
        self.assertEqual(code, 0)
        self.assertEqual([row["side"] for row in rows], 2 * SIDES)
        for row in rows:
            self.assertGreater(row["images/s"], 0)
        for row in rows[2:]:
            self.assertGreater(row["seconds"], 0)
            self.assertEqual(row["% right"] % 12.5, 0, "of eight images")

    def test_a_side_that_fails_is_a_failure_and_absent_images_are_none(self):
        broken = self.folder / "bin" / "muster"
        broken.parent.mkdir()
        broken.write_text("#!/bin/sh\nexit 9\n")
        broken.chmod(0o755)
        code, rows = self.call(build=self.folder)
        self.assertEqual(code, 1)
        self.assertRegex(rows[0]["side"], "^muster: exit status 9")
        self.assertEqual(rows[0]["images/s"], "")
        self.assertGreater(rows[1]["images/s"], 0)
        self.assertRegex(rows[2]["side"], "^not measured: no images at ")
        self.assertEqual(len(rows), 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=BUILD)
    arguments, rest = parser.parse_known_args()
    BUILD = arguments.build.resolve()
    found = PYTHON and subprocess.run([PYTHON, "-c", "import torch, numpy"], capture_output=True)
    if not found or found.returncode != 0:
        print("gpu_speed.py: Skipped\nneeds a Python with torch and numpy: set MUSTER_PEER_PYTHON")
        sys.exit()
    unittest.main(argv=[sys.argv[0], *rest])
