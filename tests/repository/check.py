"""The rules that hold for every file of the repository.

usage: check.py RULE ROOT     exit 0 all well, 1 broken (every place is printed), 77 cannot be checked here

rooms       a folder of framework/ includes only itself and the folders above it; kernels/ only base/ and kernels/
headers     headers say what they are for and are included once
formatting  sources are as clang-format 14 leaves them (other versions format differently)
length      no source file is longer than 400 lines
words       no path of one machine, no package registry, nothing left "to do"
shell       shell scripts parse, please shellcheck where it is installed, and are executable
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOMS = ["base", "watch", "config", "graph", "models", "comm", "optim", "data", "backend", "io", "train", "preflight"]
SOURCES = {".h", ".cpp", ".cu", ".cuh"}
CODE = SOURCES | {".py", ".sh", ".cmake"}
IGNORED = re.compile(r"^(\.git|build.*|runs|previous-.*|\.cache|__pycache__)$")
CLANG_FORMAT = 14
MAX_LINES = 400
SKIP = 77


def files_of(root):
    """Paths below root that belong to the repository: git's view where there is one, else all but build output."""
    if shutil.which("git") and (root / ".git").exists():
        listed = subprocess.run(
            ["git", "-c", f"safe.directory={root}", "-C", root, "ls-files", "-z", "-co", "--exclude-standard"],
            capture_output=True)
        if listed.returncode == 0:
            paths = (root / name for name in sorted(os.fsdecode(listed.stdout).split("\0")) if name)
            return [path for path in paths if path.is_file()]
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not IGNORED.match(name))
        found += [Path(folder) / name for name in sorted(names)]
    return found


def text_of(path):
    """The file's text; None for what is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def is_shell(path):
    if path.suffix == ".sh":
        return True
    with path.open("rb") as file:
        return re.match(rb"#!.*\b(ba)?sh\b", file.readline()) is not None


def allowed_rooms(parts):
    """The first path components that a file at `parts` (below the root) may include; None: any."""
    if parts[0] == "kernels":
        return ["base", "kernels"]
    if parts[0] == "framework" and len(parts) > 2:
        if parts[1] not in ROOMS:
            return []
        return ROOMS[:ROOMS.index(parts[1]) + 1] + ["kernels"]
    return None


def rooms(root, files):
    for path in files:
        parts = path.relative_to(root).parts
        allowed = allowed_rooms(parts)
        if path.suffix not in SOURCES or allowed is None:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if include and include.group(1).split("/")[0] not in allowed:
                yield f'{"/".join(parts)}:{number}: includes "{include.group(1)}"; may include: {", ".join(allowed)}'


def headers(root, files):
    for path in files:
        if path.suffix not in {".h", ".cuh"}:
            continue
        text = path.read_text(encoding="utf-8")
        if not re.search(r"^#pragma once$", text, re.MULTILINE):
            yield f"{path.relative_to(root)}: has no #pragma once"
        if not text.startswith(("//", "/*")):
            yield f"{path.relative_to(root)}: does not start with a comment that says what it is for"


def clang_format():
    """The clang-format whose major version is ours, or None."""
    for name in (f"clang-format-{CLANG_FORMAT}", "clang-format"):
        program = shutil.which(name)
        if program:
            version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            if re.search(rf"version {CLANG_FORMAT}\.", version):
                return program
    return None


def formatting(root, files):
    program = clang_format()
    if program is None:
        print(f"skipped: clang-format {CLANG_FORMAT} is not installed")
        sys.exit(SKIP)
    sources = [path for path in files if path.suffix in SOURCES]
    for start in range(0, len(sources), 50):
        result = subprocess.run([program, "--dry-run", "--Werror", *sources[start:start + 50]], capture_output=True, text=True,
                                cwd=root)
        broken = set(re.findall(r"^(.+?):\d+:\d+: error: code should be clang-formatted", result.stderr, re.MULTILINE))
        for path in sorted(broken):
            yield f"{Path(path).relative_to(root)}: not formatted; clang-format -i {Path(path).relative_to(root)}"
        if result.returncode != 0 and not broken:
            yield result.stderr


def length(root, files):
    for path in files:
        if path.suffix in CODE or path.name == "CMakeLists.txt" or is_shell(path):
            lines = len(path.read_bytes().splitlines())
            if lines > MAX_LINES:
                yield f"{path.relative_to(root)}: {lines} lines, at most {MAX_LINES}: it is two ideas"


# Spelt in pieces, so that this file does not break its own rule.
WORDS = {
    r"(?<![\w.}*-])/(?:wo" + r"rk|home/\w+|Users/\w+)/": "a path of one machine",
    r"\b(?:py" + r"pi\.org|pythonho" + r"sted\.org|npm" + r"js\.org|crat" + r"es\.io|deb\.deb" + r"ian\.org|"
    r"archive\.ubu" + r"ntu\.com)\b": "a package registry's host",
    r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b": "something left to do",
}


def words(root, files):
    for path in files:
        text = text_of(path)
        if text is None:
            continue
        for pattern, meaning in WORDS.items():
            for found in re.finditer(pattern, text):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{path.relative_to(root)}:{line}: '{found.group(0)}' is {meaning}"


def shell(root, files):
    scripts = [path for path in files if is_shell(path)]
    for path in scripts:
        parsed = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
        if parsed.returncode != 0:
            yield parsed.stderr
        if path.suffix != ".sh" and not os.access(path, os.X_OK):
            yield f"{path.relative_to(root)}: not executable"
    if scripts and shutil.which("shellcheck"):
        checked = subprocess.run(["shellcheck", "-x", "-S", "warning", *scripts], capture_output=True, text=True, cwd=root)
        if checked.returncode != 0:
            yield checked.stdout


RULES = {rule.__name__: rule for rule in (rooms, headers, formatting, length, words, shell)}


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in RULES:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(arguments[1]).resolve()
    broken = list(RULES[arguments[0]](root, files_of(root)))
    print("\n".join(broken) if broken else f"{arguments[0]}: all well")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
