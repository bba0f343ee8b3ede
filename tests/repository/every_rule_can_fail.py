"""Breaks each rule of check.py in a small tree of its own, and expects check.py to name the broken file and no other."""

import subprocess
import sys
import tempfile
from pathlib import Path

CHECK = Path(__file__).with_name("check.py")
GOOD_HEADER = "// What it is for.\n#pragma once\n"
SKIP = 77

# rule, file that breaks it, its text
BROKEN = [
    ("rooms", "framework/base/up.h", GOOD_HEADER + '#include "graph/graph.h"\n'),
    ("rooms", "framework/io/up.cpp", '#include "train/trainer.h"\n'),
    ("rooms", "framework/attic/new.cpp", '#include "base/shape.h"\n'),
    ("rooms", "kernels/cpu/up.cpp", '#include "graph/graph.h"\n'),
    ("headers", "framework/base/twice.h", "// What it is for.\nint f();\n"),
    ("headers", "framework/base/mute.h", "#pragma once\n"),
    ("formatting", "framework/base/crooked.cpp", "int   f( ){return 0;}\n"),
    ("length", "framework/base/long.cpp", "\n" * 401),
    ("length", "tools/long", "#!/usr/bin/env bash\n" + "\n" * 400),
    ("words", "docs/where.md", "see /wo" + "rk/data\n"),
    ("words", "docs/later.md", "TO" + "DO: more\n"),
    ("words", "tools/fetch.md", "from py" + "pi.org\n"),
    ("shell", "tools/torn", "#!/usr/bin/env bash\nif true; then\n"),
    ("shell", "tools/inert", "#!/usr/bin/env bash\ntrue\n"),
]
GOOD = {
    "framework/graph/graph.cpp": '#include "graph/graph.h"\n\n#include "base/shape.h"\n#include "kernels/isa.h"\n',
    "framework/graph/graph.h": GOOD_HEADER,
    "kernels/isa.h": GOOD_HEADER,
    "docs/fine.md": "framework/base and ../shared/data\n",
}


def check(rule, extra):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**GOOD, **extra}.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if "torn" in name:
                path.chmod(0o755)
        return subprocess.run([sys.executable, CHECK, rule, folder], capture_output=True, text=True)


def main():
    wrong = []
    for rule in sorted({rule for rule, _, _ in BROKEN}):
        result = check(rule, {})
        if result.returncode not in (0, SKIP):
            wrong.append(f"{rule} refuses a good tree: {result.stdout}{result.stderr}")
    for rule, name, text in BROKEN:
        result = check(rule, {name: text})
        if result.returncode == SKIP:
            continue
        if result.returncode != 1 or name not in result.stdout:
            wrong.append(f"{rule} does not refuse {name}: exit {result.returncode}, {result.stdout}{result.stderr}")
    print("\n".join(wrong) or "every rule can fail")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
