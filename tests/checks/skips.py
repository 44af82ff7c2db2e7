#!/usr/bin/env python3
"""Names the tests that ctest skipped, each with its reason, and fails where the preset does not allow the reason.

CMakePresets.json holds a pattern a test preset under vendor/muster/skips/allowed.
"""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def reason_of(output: str) -> str:
    """The line that GTEST_SKIP or pytest printed, or the last one that says something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if re.search(r": Skipped$", line) and number + 1 < len(lines):
            return lines[number + 1]
        if match := re.match(r"SKIPPED \[\d+\] (.*)", line):
            return match[1]
    return lines[-1] if lines else "no reason given"


def skipped_tests(report: Path) -> list[tuple[str, str]]:
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return [
        (case.get("name", "?"), reason_of(case.findtext("system-out") or ""))
        for case in cases
        if case.get("status") in ("notrun", "disabled") or case.find("skipped") is not None
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="JUnit file that ctest wrote")
    parser.add_argument("--preset", required=True)
    arguments = parser.parse_args()
    presets = json.loads((ROOT / "CMakePresets.json").read_text())
    allowed = presets["vendor"]["muster/skips"]["allowed"].get(arguments.preset, "(?!)")
    refused = 0
    for name, reason in skipped_tests(arguments.report):
        verdict = "skipped" if re.search(allowed, reason) else "skipped, which this preset does not allow"
        refused += verdict != "skipped"
        print(f"{verdict}: {name}: {reason}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
