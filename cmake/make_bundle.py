#!/usr/bin/env python3
"""Makes one archive of a built tree and of the shared libraries that it needs, but LibTorch (docs/bundle.md).

make_bundle.py --build FOLDER [--output FOLDER]      prints the archive's path
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 60_000_000  # bytes of the archive

# Never carried: glibc must be the machine's own, a program has one libstdc++, which LibTorch shares, and CUDA
# comes with LibTorch.
FROM_THE_MACHINE = re.compile(
    r"ld-linux-x86-64\.so|lib(c|m|dl|rt|util|pthread|resolv|stdc\+\+|gcc_s)\.so|lib(torch|c10)[a-z_]*\.so"
    r"|lib(cu(da|dart|blas|blasLt|dnn|rand|sparse|sparseLt|solver|fft|file|pti)|nccl|nv(rtc|JitLink|idia-ml|toolsext))\.so"
)
NEWEST = {"GLIBC": (2, 36), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13)}
# Interconnects whose drivers are a site's own, and OpenSHMEM, which nothing here uses.
LEFT_OUT = re.compile(
    r"lib(ucp|ucs|fabric|ibverbs|psm|psm2|psm_infinipath|oshmem|mca_common_(ucx|ofi|verbs))\.so"
)
COMPILED_IN = [
    "libcli11-dev",
    "libfmt-dev",
    "libspdlog-dev",
    "libtomlplusplus-dev",
    "libxxhash-dev",
    "nlohmann-json3-dev",
]

CARRIED = Path("lib/muster/carried")
OPEN_MPI = Path("lib/muster/openmpi")
PMIX = Path("lib/muster/pmix")
# Folders, seen from the bundle's, that Open MPI would look for where it was installed when it was built.
# hwloc's is empty: a machine's own plugins may be of another version.
MPI_ENVIRONMENT = {
    "OPAL_PREFIX": OPEN_MPI,
    "OPAL_SYSCONFDIR": OPEN_MPI / "etc",
    "PMIX_LIBDIR": PMIX / "lib",
    "PMIX_MCA_mca_base_component_path": PMIX / "lib/pmix",
    "PMIX_DATADIR": PMIX / "share",
    "PMIX_SYSCONFDIR": PMIX / "share",
    "HWLOC_PLUGINS_PATH": Path("lib/muster/hwloc"),
}
# Else mpirun gives up where there is no ssh, on one host too.
WITHOUT_SSH = "\nplm_rsh_agent = ssh : rsh : false\n"


def out(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Binary:
    """What the dynamic section of a program or shared library says."""

    needed: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()  # of RPATH or RUNPATH
    versions: tuple[str, ...] = ()  # of symbols that it wants of others: "GLIBC_2.34"


def parse_binary(text: str) -> Binary:
    """From what `objdump -p` prints."""
    paths = re.findall(r"^ +(?:RPATH|RUNPATH) +(\S+)", text, re.MULTILINE)
    return Binary(
        tuple(re.findall(r"^ +NEEDED +(\S+)", text, re.MULTILINE)),
        tuple(path for line in paths for path in line.split(":") if path),
        tuple(re.findall(r"^ +0x[0-9a-f]+ 0x[0-9a-f]+ \d+ (\S+)", text, re.MULTILINE)),
    )


def read_binary(file: Path) -> Binary:
    return parse_binary(out("objdump", "-p", file))


def binaries(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                if opened.read(4) == b"\x7fELF":
                    yield file


def too_new(version: str) -> bool:
    name, _, number = version.partition("_")
    return name in NEWEST and number[:1].isdigit() and tuple(map(int, number.split("."))) > NEWEST[name]


def faults(bundle: Path) -> list[str]:
    """What would keep a bundle from running where it is unpacked."""
    found = []
    for file in binaries(bundle):
        name = file.relative_to(bundle)
        binary = read_binary(file)
        for path in binary.paths:
            place = Path(os.path.normpath(path.replace("$ORIGIN", str(file.parent))))
            if not path.startswith("$ORIGIN") or not place.is_relative_to(bundle):
                found.append(f"{name} looks for libraries in '{path}'")
        for library in binary.needed:
            if not FROM_THE_MACHINE.match(library) and not (bundle / CARRIED / library).exists():
                found.append(f"{name} needs {library}, which is not carried")
        found += [f"{name} wants {version} of the machine" for version in binary.versions if too_new(version)]
    return found


class Libraries:
    """The shared libraries of this machine, and what of them is to be carried."""

    def __init__(self) -> None:
        lines = re.findall(r"^\s*(\S+) \(libc6,x86-64.*=> (\S+)$", out("/sbin/ldconfig", "-p"), re.MULTILINE)
        self.known = {name: Path(path) for name, path in reversed(lines)}
        self.carried: dict[str, Path] = {}

    def find(self, name: str, wanted_by: Path, binary: Binary) -> Path:
        own = [Path(path.replace("$ORIGIN", str(wanted_by.parent))) / name for path in binary.paths]
        found = next((path for path in own if path.exists()), self.known.get(name))
        if found is None:
            sys.exit(f"bundle: {wanted_by} needs {name}, which is not on this machine")
        return found.resolve()

    def carry_for(self, files: Iterable[Path]) -> None:
        """All that these files need, and what that needs."""
        waiting = list(files)
        while waiting:
            file = waiting.pop()
            binary = read_binary(file)
            for name in binary.needed:
                if FROM_THE_MACHINE.match(name) or name in self.carried:
                    continue
                self.carried[name] = self.find(name, file, binary)
                waiting.append(self.carried[name])


def cache_entry(build: Path, name: str) -> str:
    found = re.search(rf"^{name}:\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.resolve(), target)
    target.chmod(0o755 if os.access(source, os.X_OK) or source.suffix == ".so" else 0o644)


def copy_components(folder: Path, target: Path) -> list[Path]:
    taken = []
    for file in sorted(folder.glob("*.so")):
        if not any(LEFT_OUT.match(library) for library in read_binary(file).needed):
            copy(file, target / file.name)
            taken.append(file)
    return taken


def take_open_mpi(build: Path, bundle: Path) -> tuple[str, list[Path]]:
    """Its name and version, and where what was copied of it came from."""
    programs = Path(cache_entry(build, "MPIEXEC_EXECUTABLE")).parent
    info = programs / "ompi_info"
    if not info.exists():
        sys.exit(f"bundle: only Open MPI can be carried, and there is no {info}")
    said = dict(re.findall(r"^path:(\w+):(.*)$", out(info, "--parsable", "--path", "all"), re.MULTILINE))
    folders = {name: Path(path) for name, path in said.items()}
    prefix = folders["prefix"]
    taken = []
    for name in ("mpirun", "orted"):
        copy(folders["bindir"] / name, bundle / OPEN_MPI / "bin" / name)
        taken.append(folders["bindir"] / name)
    components = folders["pkglibdir"]
    taken += copy_components(components, bundle / OPEN_MPI / components.relative_to(prefix))
    texts = folders["pkgdatadir"]
    shutil.copytree(texts, bundle / OPEN_MPI / texts.relative_to(prefix))
    settings = (folders["sysconfdir"] / "openmpi-mca-params.conf").read_text()
    (bundle / OPEN_MPI / "etc").mkdir()
    (bundle / OPEN_MPI / "etc/openmpi-mca-params.conf").write_text(settings + WITHOUT_SSH)
    return out(info, "--version").splitlines()[0].replace(" v", " "), taken


def take_pmix(libraries: Libraries, bundle: Path) -> list[Path]:
    """Its components, where it is not a part of Open MPI."""
    library = libraries.carried.get("libpmix.so.2")
    if library is None:
        return []
    components = library.parent / "pmix"
    if not components.is_dir():
        sys.exit(f"bundle: {library} has no folder of components beside it")
    shutil.copytree(library.parent.parent / "share", bundle / PMIX / "share")
    return copy_components(components, bundle / PMIX / "lib/pmix")


def package_of(file: Path) -> str:
    """The Debian package; one from before /lib was merged into /usr/lib knows its files by the short path."""
    for path in (str(file), str(file).removeprefix("/usr")):
        done = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    sys.exit(f"bundle: {file} belongs to no Debian package, so its licence is not known")


def take_licences(files: Iterable[Path], bundle: Path) -> None:
    target = bundle / "share/muster/licences"
    common = set()
    for package in sorted({package_of(file.resolve()) for file in files} | set(COMPILED_IN)):
        notice = Path("/usr/share/doc") / package / "copyright"
        if not notice.exists():
            sys.exit(f"bundle: no licence at {notice}")
        copy(notice, target / package)
        common |= set(
            re.findall(r"/usr/share/common-licenses/([\w.+-]*\w)", notice.read_text(errors="replace"))
        )
    for name in sorted(common):
        if (Path("/usr/share/common-licenses") / name).exists():
            copy(Path("/usr/share/common-licenses") / name, target / "common-licenses" / name)


def take_texts(bundle: Path) -> None:
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        ROOT / "results/README.md",
        ROOT / "cmake/packages.txt",
    ]
    for page in pages:
        copy(page, bundle / "share/doc/muster" / page.relative_to(ROOT))
    copy(ROOT / "docs/bundle.md", bundle / "README.md")


def make_relative(bundle: Path) -> None:
    """RPATH, not RUNPATH: no LD_LIBRARY_PATH of a site's modules is to come before what is carried."""
    for file in binaries(bundle):
        path = os.path.relpath(bundle / CARRIED, file.parent)
        out("patchelf", "--force-rpath", "--set-rpath", f"$ORIGIN/{path}" if path != "." else "$ORIGIN", file)


def write_sums(bundle: Path) -> None:
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(bundle)}\n"
        for file in sorted(bundle.rglob("*"))
        if file.is_file()
    ]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def write_archive(bundle: Path, archive: Path, time: int) -> None:
    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = time
        return entry

    aside = archive.with_suffix(".part")
    with tarfile.open(aside, "w:gz", compresslevel=9) as tar:
        for file in [bundle, *sorted(bundle.rglob("*"))]:
            tar.add(file, file.relative_to(bundle.parent), recursive=False, filter=plain)
    aside.rename(archive)


def fill(bundle: Path, build: Path) -> None:
    for component in ("Unspecified", "gpu_tests"):
        out("cmake", "--install", build, "--prefix", bundle, "--component", component, "--strip")
    copy(ROOT / "tests/gpu_check.py", bundle / "bin/gpu-check")
    for library in bundle.rglob("*.a"):
        out("strip", "--strip-debug", library)
    torch = Path(cache_entry(build, "MUSTER_TORCH_ROOT"))
    built_against = re.search(r"^__version__ = '([^']+)'", (torch / "version.py").read_text(), re.MULTILINE)[
        1
    ]
    libraries = Libraries()
    libraries.carry_for(binaries(bundle))
    mpi, taken = take_open_mpi(build, bundle)
    libraries.carry_for(taken)
    pmix = take_pmix(libraries, bundle)
    libraries.carry_for(pmix)
    for name, path in libraries.carried.items():
        copy(path, bundle / CARRIED / name)
    make_relative(bundle)
    take_licences([*taken, *pmix, *libraries.carried.values()], bundle)
    take_texts(bundle)
    about = {
        "muster": out(bundle / "bin/muster", "--version").strip().removeprefix("muster "),
        "torch": built_against.partition("+")[0],
        "built_against_torch": built_against,
        "glibc": ".".join(map(str, NEWEST["GLIBC"])),
        "libstdc++": "GLIBCXX_" + ".".join(map(str, NEWEST["GLIBCXX"])),
        "mpi": mpi,
        "mpirun": str(OPEN_MPI / "bin/mpirun"),
        "mpi_environment": {name: str(path) for name, path in MPI_ENVIRONMENT.items()},
    }
    (bundle / "bundle.json").write_text(json.dumps(about, indent=2) + "\n")
    write_sums(bundle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--output", type=Path, help="folder of the archive, else bundle/ in the build folder")
    arguments = parser.parse_args()
    for tool in ("objdump", "patchelf", "dpkg"):
        if shutil.which(tool) is None:
            sys.exit(f"bundle: {tool} is not there; bundles are made on Debian 12 (apt-get install patchelf)")
    build = arguments.build.resolve()
    output = (arguments.output or build / "bundle").resolve()
    version = out(build / "bin/muster", "--version").split(None, 1)[1].strip()
    name = "muster-" + re.sub(r"[^\w.+]+", "-", version).strip("-") + "-x86_64"
    git = ["git", "-C", ROOT, "-c", "safe.directory=*", "log", "-1", "--format=%ct"]
    time = int(out(*git)) if (ROOT / ".git").exists() else 0
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as scratch:
        bundle = Path(scratch) / name
        fill(bundle, build)
        if found := faults(bundle):
            sys.exit("bundle: it would not run elsewhere:\n  " + "\n  ".join(found))
        archive = output / f"{name}.tar.gz"
        write_archive(bundle, archive, time)
    size = archive.stat().st_size
    if size > LARGEST:
        sys.exit(f"bundle: {archive} has {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f}")
    print(archive)


if __name__ == "__main__":
    main()
