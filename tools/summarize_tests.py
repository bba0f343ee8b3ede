"""Prints what a person wants to know after a test run: the ten slowest tests, and what was skipped and why.

usage: summarize_tests.py REPORT.xml     (as written by ctest --output-junit)
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def reason_of(case):
    """Why a test was skipped: the line after GoogleTest's "Skipped", a line "skipped: …", or ctest's own word."""
    output = case.findtext("system-out") or ""
    found = re.search(r": Skipped\n(.+)", output) or re.search(r"(?i)^skipped: (.+)", output, re.MULTILINE)
    if found:
        return found.group(1).strip()
    skipped = case.find("skipped")
    return (skipped.get("message") if skipped is not None else "") or "no reason given"


def main(path):
    cases = ElementTree.parse(path).getroot().findall("testcase")
    timed = sorted(cases, key=lambda case: -float(case.get("time", 0)))
    print("\nthe ten slowest tests:")
    for case in timed[:10]:
        print(f"  {float(case.get('time', 0)):7.2f} s  {case.get('name')}")
    states = Counter(case.get("status") for case in cases)
    skipped = [case for case in cases if case.get("status") in ("notrun", "disabled")]
    print(f"\n{states['run']} passed, {states['fail']} failed, {len(skipped)} skipped")
    for reason, count in Counter(reason_of(case) for case in skipped).most_common():
        print(f"  {count} skipped: {reason}")


if __name__ == "__main__":
    main(sys.argv[1])
