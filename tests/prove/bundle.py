#!/usr/bin/env python3
# The archive of ./dev bundle runs on a bare Debian 12 without a network, there and moved. Needs root.
"""Inside are Python and, shown read-only, the packages of .venv: no compiler, no MPI, no HDF5."""

from __future__ import annotations

import argparse
import csv
import fcntl
import math
import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof

NAMESPACE = "MUSTER_BUNDLE_NAMESPACE"
LARGEST_MB = 60
USER = 1000  # anybody
PACKAGES = "usr/local/lib/python{}.{}/dist-packages".format(*sys.version_info)  # where the bare Python looks
ELSEWHERE = "opt/elsewhere"  # where it does not

SWEEP = """
name = "sweep"
workload = "exec"
command = ["sh", "-c", "echo $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE: {word}"]
[resources]
ranks = 2
oversubscribe = true
[matrix.grid]
word = ["one", "two"]
"""

TRAINING = """
name = "training"
workload = "ddp"
[resources]
oversubscribe = true
[parameters]
network = "resnet9"
width = 0.05
data.path = "synthetic"
data.samples = 128
data.test_samples = 32
epochs = 2
batch = 32
[matrix.grid]
resources.ranks = [1, 2]
"""

READ = """
import muster_results
rows = muster_results.load("{runs}/training").metrics("epoch")
assert len(rows) == 4 and rows["train_loss"].notna().all(), rows
"""

ABSENT = "cc gcc g++ clang cmake make ninja mpirun mpiexec orted h5dump pip git curl"


class Machine:
    """A bare Debian that a user without rights works on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home/anybody"
        self.home.mkdir(parents=True, exist_ok=True)
        os.chown(self.home, USER, USER)
        for name in (PACKAGES, ELSEWHERE):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "etc/resolv.conf").unlink(missing_ok=True)

    def call(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """By a shell in the user's home, whose path here is `home`."""
        own = {"HOME": "/home/anybody", "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        inside = [
            shutil.which("chroot"),
            f"--userspec={USER}:{USER}",
            self.root,
            "/bin/sh",
            "-c",
            f"cd && {command}",
        ]
        done = subprocess.run(
            inside,
            env=own | environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        print(f"--- exit status {done.returncode}: {command}")
        if done.returncode != 0:
            print("\n".join((done.stdout + done.stderr).splitlines()[-6:]), flush=True)
        return done

    def show(self, source: Path, at: str) -> None:
        mount("--bind", source, self.root / at)
        mount("-o", "remount,bind,ro", self.root / at)

    def hide(self, at: str) -> None:
        subprocess.run(["umount", self.root / at], check=True)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def bring_up_loopback() -> None:
    with socket.socket() as any_socket:
        flags = 0x1 | 0x40  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", flags))  # SIOCSIFFLAGS


def packages_with_torch() -> Path:
    python = Path(os.environ.get("PYTHON", proof.ROOT / ".venv/bin/python"))
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    packages = Path(told.strip()).resolve()
    if not (packages / "torch/lib/libtorch_cpu.so").exists():
        sys.exit(f"no LibTorch in {packages}: ./dev setup puts it there where MUSTER_TORCH_ROOT is not set")
    return packages


def make_bundle(output: Path) -> Path:
    """The archive, with a line about it."""
    script = [sys.executable, proof.ROOT / "cmake/make_bundle.py", "--build", proof.BUILD, "--output", output]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{done.stderr}\nFAILS  archives made: 0\nverdict: FAIL")
    archive = Path(done.stdout.strip())
    print(f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB")
    return archive


def steps_well_done(machine: Machine, folder: str, runs: str, **environment: str) -> list[bool]:
    """Both experiments, by the bundle in `folder`, and what they leave."""
    home = machine.home
    (home / "sweep.toml").write_text(SWEEP)
    (home / "training.toml").write_text(TRAINING)
    well = []
    for name in ("sweep", "training"):
        done = machine.call(f"{folder}/bin/muster run {name}.toml --runs {runs}", **environment)
        well.append(done.returncode == 0)
    logs = sorted(home.glob(f"{runs}/sweep/tasks/*/log.txt"))
    lines = sorted(line for log in logs for line in log.read_text().splitlines())
    well.append(lines == ["0 of 2: one", "0 of 2: two", "1 of 2: one", "1 of 2: two"])
    losses = []
    for table in home.glob(f"{runs}/training/tasks/*/metrics.csv"):
        with table.open(newline="") as file:
            losses += [float(row["train_loss"]) for row in csv.DictReader(file)]
    well.append(len(losses) == 4 and all(map(math.isfinite, losses)))
    return well


def is_one_error(done: subprocess.CompletedProcess[str], code: int, *words: str) -> bool:
    return done.returncode == code and done.stderr.count("\n") == 1 and all(w in done.stderr for w in words)


def judge(machine: Machine, archive: Path, packages: Path, verdict: proof.Verdict) -> None:
    verdict.at_most("size of the archive, MB", archive.stat().st_size / 1e6, LARGEST_MB)
    there = machine.call(f"for tool in {ABSENT}; do command -v $tool; done; true").stdout.split()
    verdict.at_most(f"of {ABSENT}: there on the bare machine", len(there), 0)

    shutil.copy(archive, machine.home)
    whole = machine.call(
        f"tar xf {archive.name} && mv muster-*64 first && cd first && sha256sum --quiet -c SHA256SUMS"
    )
    verdict.at_least("unpacked with every file as its manifest says", whole.returncode == 0, 1)
    verdict.at_least("prints its version", machine.call("first/bin/muster --version").returncode == 0, 1)

    done = machine.call("first/bin/gpu-check")
    verdict.at_least("gpu-check: one line without a GPU", is_one_error(done, 5, "no GPU here"), 1)

    # Without LibTorch: one error, and all that needs none goes on.
    (machine.home / "training.toml").write_text(TRAINING)
    (machine.home / "sweep.toml").write_text(SWEEP)
    done = machine.call("first/bin/muster run training.toml --runs none")
    clear = is_one_error(done, 7, "no package torch", "pip install torch==", "MUSTER_TORCH_ROOT")
    verdict.at_least("without PyTorch: one error that says what to do", clear, 1)
    done = machine.call("first/bin/muster run sweep.toml --runs none")
    verdict.at_least("without PyTorch: commands run", done.returncode == 0, 1)
    other = machine.home / "other/torch"
    (other / "lib").mkdir(parents=True)
    (other / "lib/libtorch_cpu.so").touch()
    version = (packages / "torch/version.py").read_text()
    (other / "version.py").write_text(version.replace("'2.", "'1."))
    done = machine.call("first/bin/muster run training.toml --runs none", MUSTER_TORCH_ROOT="other/torch")
    clear = is_one_error(done, 7, " is 1.", "pip install torch==")
    verdict.at_least("with another PyTorch: one error that names it", clear, 1)

    machine.show(packages, PACKAGES)
    well = steps_well_done(machine, "first", "runs")
    verdict.at_least("PyTorch in Python: right of exec, ddp and the output of each", sum(well), 4)
    reader = READ.format(runs="runs")
    read = machine.call(f"python3 -c '{reader}'", PYTHONPATH="/home/anybody/first/share/muster/python")
    verdict.at_least("its Python package reads its metrics", read.returncode == 0, 1)
    machine.hide(PACKAGES)

    # Elsewhere, by the variable, beside a site's libraries of the same names, which are none at all.
    machine.show(packages, ELSEWHERE)
    machine.call("mkdir site && touch site/libmpi.so.40 site/libopen-pal.so.40 site/libhdf5_serial.so.103 "
                 "site/libevent_core-2.1.so.7 && mkdir -p a/b && mv first 'a/b/second one'")  # fmt: skip
    torch = {"MUSTER_TORCH_ROOT": f"/{ELSEWHERE}/torch"}
    site = {"LD_LIBRARY_PATH": "/home/anybody/site"}
    well = steps_well_done(machine, "'a/b/second one'", "moved", **torch, **site)
    verdict.at_least("moved, with MUSTER_TORCH_ROOT: right of exec, ddp and the output of each", sum(well), 4)

    # The machine itself has none of what is carried.
    for library in ("libevent_core-2.1.so.7", "libhdf5_serial.so.103"):
        carried = machine.home / "a/b/second one/lib/muster/carried" / library
        carried.rename(machine.home / library)
        well = steps_well_done(machine, "'a/b/second one'", f"without-{library}", **torch)
        verdict.at_most(f"without {library}: right of exec, ddp and the output of each", sum(well), 3)
        (machine.home / library).rename(carried)
    machine.hide(ELSEWHERE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of the bare Debian, kept and used again")
    parser.add_argument("--archive", type=Path, help="one that is there already")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root, for chroot and mounts")
    if NAMESPACE not in os.environ:
        os.environ[NAMESPACE] = "1"
        new = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with proof.scratch() as scratch:
            root = (arguments.root or scratch / "root").resolve()
            if not (root / "etc/debian_version").exists():
                bare = ["bash", str(proof.ROOT / "tests/prove/bare-debian.sh"), str(root), "python3"]
                subprocess.run(bare, check=True)
            archive = (arguments.archive or make_bundle(scratch)).resolve()
            command = [*new, sys.executable, __file__, "--root", str(root), "--archive", str(archive)]
            code = subprocess.run(command, check=False).returncode
        sys.exit(code)
    bring_up_loopback()
    root = arguments.root
    shutil.rmtree(root / "home/anybody", ignore_errors=True)
    mount("-t", "proc", "proc", root / "proc")
    mount("--rbind", "/dev", root / "dev")
    mount("--rbind", "/sys", root / "sys")
    verdict = proof.Verdict()
    judge(Machine(root), arguments.archive, packages_with_torch(), verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
