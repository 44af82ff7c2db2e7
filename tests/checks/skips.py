#!/usr/bin/env python3
"""Names the tests that ctest skipped, each with its reason; fails where the preset does not allow the reason.

Ends with 'N passed, N failed, N skipped'.

CMakePresets.json holds a pattern a test preset under vendor/muster/skips/allowed.
"""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def reasons_of(output: str) -> list[str]:
    """The lines that GTEST_SKIP printed; a binary under mpirun may pass some tests and skip others."""
    lines = [line.strip() for line in output.splitlines()]
    found = [
        lines[at + 1] for at, line in enumerate(lines[:-1]) if line.endswith(": Skipped") and lines[at + 1]
    ]
    return list(dict.fromkeys(found))


def skipped_tests(report: Path) -> list[tuple[str, str]]:
    """Name and reason of each skip in a JUnit file of ctest."""
    rows = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        reasons = reasons_of(case.findtext("system-out") or "")
        if not reasons and case.get("status") in ("notrun", "disabled"):
            reasons = ["no reason given"]
        rows += [(case.get("name", "?"), reason) for reason in reasons]
    return rows


def counts(report: Path) -> str:
    """'7 passed, 1 failed, 2 skipped': a test that ctest could not start has failed."""
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    skipped = sum(
        case.get("status") in ("notrun", "disabled") and case.find("skipped") is not None for case in cases
    )
    passed = sum(case.get("status") == "run" for case in cases)
    return f"{passed} passed, {len(cases) - passed - skipped} failed, {skipped} skipped"


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
    print(counts(arguments.report))
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
