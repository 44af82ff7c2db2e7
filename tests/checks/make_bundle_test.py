"""What would keep a bundle from running elsewhere is seen before it is an archive."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cmake"))
import make_bundle

DYNAMIC = """
Dynamic Section:
  NEEDED               libmpi.so.40
  NEEDED               libc.so.6
  RPATH                $ORIGIN/../carried:/opt/lib
  SONAME               libx.so.1

Version References:
  required from libstdc++.so.6:
    0x02297f89 0x00 09 GLIBCXX_3.4.9
    0x0bafd172 0x00 07 CXXABI_1.3.2
"""


class Bundle(unittest.TestCase):
    def test_what_objdump_prints_is_understood(self):
        binary = make_bundle.parse_binary(DYNAMIC)
        self.assertEqual(binary.needed, ("libmpi.so.40", "libc.so.6"))
        self.assertEqual(binary.paths, ("$ORIGIN/../carried", "/opt/lib"))
        self.assertEqual(binary.versions, ("GLIBCXX_3.4.9", "CXXABI_1.3.2"))

    def test_symbols_newer_than_promised_are_too_new(self):
        for version in (
            "GLIBC_2.36",
            "GLIBC_2.2.5",
            "GLIBCXX_3.4.30",
            "GLIBC_PRIVATE",
            "OPENSSL_3.0.0",
            "CXXABI_1.3.13",
        ):
            self.assertFalse(make_bundle.too_new(version), version)
        for version in ("GLIBC_2.37", "GLIBCXX_3.4.31", "CXXABI_1.3.14", "GLIBC_2.36.1"):
            self.assertTrue(make_bundle.too_new(version), version)

    def test_what_the_machine_brings_is_not_carried(self):
        torch = [
            "libtorch_cpu.so",
            "libtorch_cuda.so",
            "libc10.so",
            "libc10_cuda.so",
            "libcudart.so.13",
            "libnccl.so.2",
        ]
        for name in ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libstdc++.so.6", *torch]:
            self.assertTrue(make_bundle.FROM_THE_MACHINE.match(name), name)
        for name in ("libmpi.so.40", "libcurl.so.4", "libcrypto.so.3", "libmunge.so.2", "libdlx.so.1"):
            self.assertFalse(make_bundle.FROM_THE_MACHINE.match(name), name)

    @unittest.skipUnless(shutil.which("objdump"), "no objdump")
    def test_a_program_that_looks_where_it_was_built_is_a_fault(self):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            self.skipTest("no C compiler")
        with tempfile.TemporaryDirectory() as scratch:
            bundle = Path(scratch)
            carried = bundle / make_bundle.CARRIED
            (bundle / "bin").mkdir()
            carried.mkdir(parents=True)

            def link(path: str) -> None:
                source = [
                    "-x",
                    "c",
                    "-",
                    "-shared",
                    "-fPIC",
                    "-o",
                    carried / "libown.so",
                    "-Wl,-soname,libown.so",
                ]
                subprocess.run(
                    [compiler, *source], input="int own(void) { return 0; }", text=True, check=True
                )
                source = ["-x", "c", "-", "-o", bundle / "bin/p", f"-L{carried}", f"-Wl,-rpath,{path}"]
                text = "int own(void); int main(void) { return own(); }"
                subprocess.run([compiler, *source, "-lown"], input=text, text=True, check=True)

            link("$ORIGIN/../lib/muster/carried")
            self.assertEqual(make_bundle.faults(bundle), [])
            (carried / "libown.so").unlink()
            self.assertEqual(make_bundle.faults(bundle), ["bin/p needs libown.so, which is not carried"])
            for path in (str(carried), "$ORIGIN/../../lib"):
                link(path)
                self.assertEqual(make_bundle.faults(bundle), [f"bin/p looks for libraries in '{path}'"])


if __name__ == "__main__":
    unittest.main()
