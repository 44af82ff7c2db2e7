"""Skipped tests are named with their reasons, also where a binary skipped only some."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import skips

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite tests="3">
  <testcase name="Good.Passes" status="run"><system-out>[       OK ] Good.Passes</system-out></testcase>
  <testcase name="Data.IsThere" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
    <system-out>/tree/data_test.cpp:7: Skipped
no images in /data

[  SKIPPED ] Data.IsThere (0 ms)</system-out></testcase>
  <testcase name="gang.3_ranks" status="run">
    <system-out>a_test.cpp:9: Skipped
no GPU here
[  SKIPPED ] Gang.UsesGpus
a_test.cpp:9: Skipped
no GPU here
[  PASSED  ] 4 tests.</system-out></testcase>
  <testcase name="Lost.Program" status="notrun"/>
</testsuite>
"""


class SkippedTests(unittest.TestCase):
    def test_reasons(self):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "tests.xml"
            report.write_text(REPORT)
            self.assertEqual(
                skips.skipped_tests(report),
                [
                    ("Data.IsThere", "no images in /data"),
                    ("gang.3_ranks", "no GPU here"),
                    ("Lost.Program", "no reason given"),
                ],
            )

    def test_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "tests.xml"
            report.write_text(REPORT)
            self.assertEqual(skips.counts(report), "2 passed, 1 failed, 1 skipped")


if __name__ == "__main__":
    unittest.main()
