"""gpu-check tells what it found and ran, and nothing else; GPUs and tests are stand-ins here."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import gpu_check

ROOT = Path(__file__).resolve().parents[2]
SMI = "0, NVIDIA H200, GPU-1, 00000000:18:00.0, 143771 MiB, 580.95.05, 700.00 W"


def report(**tests: str) -> str:
    entries = [
        {"classname": "Kernels", "name": name, "result": "SKIPPED" if state == "skipped" else "COMPLETED"}
        | ({"failures": [{}]} if state == "failed" else {})
        for name, state in tests.items()
    ]
    return json.dumps({"testsuites": [{"testsuite": entries}]})


class GpuCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        about = {"muster": "0.1.0", "torch": "2.11.0", "mpirun": "mpirun", "mpi_environment": {}}
        self.write("bundle.json", json.dumps(about))
        self.write("torch/version.py", "__version__ = '2.11.0+cu130'\n")
        (self.folder / "bin").mkdir()
        shutil.copy(ROOT / "tests/gpu_check.py", self.folder / "bin/gpu-check")

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def add_gpu(self) -> None:
        self.write("tools/nvidia-smi", f"#!/bin/sh\necho '{SMI}'\n")

    def add_test(self, name: str, text: str, code: int = 0) -> None:
        tests = self.folder / "lib/muster/gpu-tests"
        tests.mkdir(parents=True, exist_ok=True)
        script = f"#!/bin/sh\ncat > \"${{GTEST_OUTPUT#json:}}\" <<'E'\n{text}\nE\nexit {code}\n"
        self.write(f"lib/muster/gpu-tests/{name}", script)
        with (tests / "tests.txt").open("a") as lines:
            lines.write(f"{name} 1\n")

    def call(self) -> tuple[int, str]:
        environment = dict(
            os.environ, PATH=f"{self.folder}/tools:/usr/bin:/bin", MUSTER_TORCH_ROOT=f"{self.folder}/torch"
        )
        command = [sys.executable, self.folder / "bin/gpu-check", "--output", self.folder / "out"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr

    def test_without_a_gpu_it_says_so_in_one_line_and_runs_nothing(self):
        self.add_test("kernels", report(a="passed"))
        code, said = self.call()
        self.assertEqual(code, 5)
        self.assertRegex(said, r"^gpu-check: no GPU here .*\n$")
        self.assertFalse((self.folder / "out").exists())

    def test_another_pytorch_is_refused(self):
        self.add_gpu()
        self.write("torch/version.py", "__version__ = '2.10.0+cu128'\n")
        code, said = self.call()
        self.assertEqual(code, 7)
        self.assertRegex(said, r"^gpu-check: .*2\.11\.0.*2\.10\.0\+cu128\n$")

    def test_both_files_name_the_gpu_and_what_ran(self):
        self.add_gpu()
        self.add_test("kernels", report(a="passed", b="skipped"))
        self.assertEqual(self.call(), (0, ""))
        written = json.loads((self.folder / "out/gpu-check.json").read_text())
        self.assertEqual(written["gpus"][0]["name"], "NVIDIA H200")
        self.assertEqual(written["tests"][0]["passed"], ["Kernels.a"])
        self.assertEqual(written["tests"][0]["skipped"], ["Kernels.b"])
        page = (self.folder / "out/gpu-check.md").read_text()
        self.assertIn("| 0 | NVIDIA H200 | GPU-1 |", page)
        self.assertIn("| kernels | 1 | 1 | 0 | 1 |", page)
        self.assertIn("- kernels Kernels.b", page)

    def test_a_failure_is_one(self):
        self.add_gpu()
        self.add_test("good", report(a="passed"))
        self.add_test("bad", report(a="passed", b="failed"), 1)
        self.assertEqual(self.call()[0], 1)
        self.assertIn("| bad | 1 | 1 | 1 | 0 |", (self.folder / "out/gpu-check.md").read_text())

    def test_a_crash_is_one(self):
        self.add_gpu()
        self.add_test("good", report(a="passed"))
        self.add_test("crash", report(), 139)
        self.assertEqual(self.call()[0], 1)

    def add_benchmark(self, text: str, name: str = "bench.py") -> None:
        self.write(f"lib/muster/gpu-tests/{name}", text)
        self.write("lib/muster/gpu-tests/benchmarks.txt", f"{name}\n")

    def test_a_benchmark_is_a_table_whatever_its_bars(self):
        self.add_gpu()
        self.add_test("kernels", report(a="passed"))
        self.add_benchmark('print(\'one line\\n{"method": "topk", "ms": 0.5, "bar": "0.1"}\')')
        self.assertEqual(self.call()[0], 0)
        self.assertIn("| topk | 0.5 | 0.1 |", (self.folder / "out/gpu-check.md").read_text())
        written = json.loads((self.folder / "out/gpu-check.json").read_text())
        self.assertEqual(written["benchmarks"][0]["rows"][0]["method"], "topk")

    def test_a_benchmark_may_lie_in_a_folder_and_reads_how_long_it_may_take(self):
        self.add_gpu()
        self.add_test("kernels", report(a="passed"))
        told = "float(os.environ['GPU_CHECK_SECONDS'])"
        self.add_benchmark(f"import os, json\nprint(json.dumps({{'seconds': {told}}}))", "deep/in/bench.py")
        self.assertEqual(self.call()[0], 0)
        written = json.loads((self.folder / "out/gpu-check.json").read_text())
        self.assertGreater(written["benchmarks"][0]["rows"][0]["seconds"], gpu_check.SECONDS - 60)
        self.assertLess(written["benchmarks"][0]["rows"][0]["seconds"], gpu_check.SECONDS)

    def test_a_benchmark_that_ends_in_an_error_is_a_failure(self):
        self.add_gpu()
        self.add_test("kernels", report(a="passed"))
        self.add_benchmark("print('{\"side\": \"ours\"}')\nraise SystemExit('no such kernel')")
        self.assertEqual(self.call()[0], 1)
        page = (self.folder / "out/gpu-check.md").read_text()
        self.assertTrue(page.endswith("| ours |\nno such kernel\n"), page)

    def test_what_takes_too_long_is_cut_off(self):
        self.assertEqual(gpu_check.run_for(0.2, ["sleep", "60"], dict(os.environ))[0], 124)

    def test_nothing_but_skips_is_no_success(self):
        self.add_gpu()
        self.add_test("kernels", report(a="skipped"))
        self.assertEqual(self.call()[0], 1)


if __name__ == "__main__":
    unittest.main()
