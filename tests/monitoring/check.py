"""That cluster/monitoring works: promtool's own tests of the alerts, and whether those can fail.

usage: check.py CASE ROOT     exit 0 all well, 1 not, 77 promtool is not installed

files            the rules and the scrape configuration are valid
alerts           the tests of the alerts pass
alerts_can_fail  with any one alert taken away they do not
dashboard        every expression of the dashboard is one that Prometheus takes
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIP = 77
ALERT = re.compile(r"^      - alert: (\w+)$", re.MULTILINE)


def promtool(*arguments, folder):
    """(whether it went well, what it said)"""
    result = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
    return result.returncode == 0, result.stdout + result.stderr


def files(monitoring):
    for arguments in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        well, said = promtool(*arguments, folder=monitoring)
        if not well:
            yield said


def alerts(monitoring):
    well, said = promtool("test", "rules", "alerts_test.yml", folder=monitoring)
    if not well:
        yield said


def without(text, name):
    """The rules but for one."""
    begin = text.index(f"      - alert: {name}\n")
    end = text.find("      - alert: ", begin + 1)
    return text[:begin] + (text[end:] if end >= 0 else "")


def alerts_can_fail(monitoring):
    text = (monitoring / "alerts.yml").read_text()
    names = ALERT.findall(text)
    if not names:
        yield "there are no alerts"
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(monitoring / "alerts_test.yml", folder)
            (Path(folder) / "alerts.yml").write_text(without(text, name))
            well, _ = promtool("test", "rules", "alerts_test.yml", folder=folder)
            if well:
                yield f"no test fails without {name}"


def expressions(node):
    """All of a dashboard's, wherever they stand."""
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from expressions(each)


def dashboard(monitoring):
    found = list(expressions(json.loads((monitoring / "grafana.json").read_text())))
    if not found:
        yield "the dashboard asks for nothing"
    rules = [{"record": f"panel_{number}", "expr": expression.replace("$job", ".*").replace("$instance", ".*")}
             for number, expression in enumerate(found)]
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML.
        (Path(folder) / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        well, said = promtool("check", "rules", "rules.yml", folder=folder)
        if not well:
            yield said


CASES = {case.__name__: case for case in (files, alerts, alerts_can_fail, dashboard)}


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in CASES:
        print(__doc__, file=sys.stderr)
        return 2
    if shutil.which("promtool") is None:
        print("skipped: promtool is not installed (Debian's package prometheus has it)")
        return SKIP
    problems = list(CASES[arguments[0]](Path(arguments[1]).resolve() / "cluster" / "monitoring"))
    print("\n".join(problems) if problems else f"{arguments[0]}: all well")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
