"""cluster/container: every step of the Dockerfile and the Apptainer definition names files that exist, installs with
tools/setup and nothing else, and the image does not run as root.

usage: container_test.py ROOT PROGRAM
"""

import re
import shlex
import sys
from pathlib import Path

from findings import Findings, want_command_line

PREFIX = "/opt/athanor"


def instructions(text):
    """(instruction, arguments) of a Dockerfile, continued lines joined."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    for line in joined.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def check_install_steps(findings, commands, place):
    """Packages come from tools/setup alone."""
    for command in commands:
        findings.want(not re.search(r"\b(apt|apt-get|dpkg|pip|pip3|curl|wget|git)\b(?!/)", command),
                      f"{place}: installs beside tools/setup: {command}")
        for mode in re.findall(r"tools/setup *(--\S+)?", command):
            findings.want(mode in ("", "--run", "--worker"), f"{place}: tools/setup has no mode {mode} for images")


def check_example(findings, text, program, root, place):
    """The command lines in the comments are ones that the program takes."""
    for line in re.findall(r"^#.*?\bathanor (train .*)$", text, re.MULTILINE):
        words = [word for word in shlex.split(line.split("  ")[0]) if "…" not in word]
        want_command_line(findings, words, program, root, PREFIX, place)


def check_dockerfile(findings, root, program):
    path = root / "cluster/container/Dockerfile"
    ignore = (path.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line[1:] for line in ignore if line.startswith("!")]
    text = path.read_text(encoding="utf-8")
    stages, commands, users = [], [], []
    for word, rest in instructions(text):
        if word == "FROM":
            stages.append(rest.split(" AS ")[-1] if " AS " in rest else "")
        elif word == "COPY" and rest.startswith("--from="):
            findings.want(rest.split()[0].removeprefix("--from=") in stages, f"{path.name}: no stage for COPY {rest}")
        elif word == "COPY":
            for source in rest.split()[:-1]:
                findings.want((root / source).exists(), f"{path.name}: COPY of {source}, which is not there")
                findings.want(any(source == name or source.startswith(name + "/") for name in sent),
                              f"{path.name}: COPY of {source}, which its .dockerignore keeps back")
        elif word == "RUN":
            commands.append(rest)
        elif word == "USER":
            users.append(rest)
        else:
            findings.want(word in ("ARG", "ENV", "WORKDIR", "CMD"), f"{path.name}: unexpected {word}")
    check_install_steps(findings, commands, path.name)
    findings.want(len(stages) == 2, f"{path.name}: {len(stages)} stages, want one to build and one to run")
    findings.want(users[-1:] not in ([], ["root"], ["0"]), f"{path.name}: the image runs as root")
    steps = " ".join(commands)
    findings.want("tools/setup --worker" in steps, f"{path.name}: the run stage does not use tools/setup --worker")
    findings.want(re.search(r"tools/setup(?! *--)", steps), f"{path.name}: the build stage does not use tools/setup")
    for name in sent:
        findings.want((root / name).exists(), f"{path.name}.dockerignore: {name} is not there")
    check_example(findings, text, program, root, path.name)


def check_definition(findings, root, program):
    path = root / "cluster/container/athanor.def"
    text = path.read_text(encoding="utf-8")
    stages = re.findall(r"^Stage: *(\S+)$", text, re.MULTILINE)
    findings.want(stages == ["build", "run"], f"{path.name}: stages {stages}, want build and run")
    section, commands = "", []
    for line in text.splitlines():
        if line.startswith("%"):
            section = line
        elif section == "%files" and line.strip():
            findings.want((root / line.split()[0]).exists(), f"{path.name}: {line.split()[0]} is not there")
        elif section == "%files from build":
            findings.want(not line.strip() or line.split()[0] == PREFIX, f"{path.name}: {line} is not what was built")
        elif section == "%post" and line.startswith(" "):
            commands.append(line.strip())
    check_install_steps(findings, commands, path.name)
    findings.want("tools/setup" in commands, f"{path.name}: the build stage does not use tools/setup")
    findings.want(any(c.endswith("tools/setup --run") for c in commands), f"{path.name}: no tools/setup --run")
    check_example(findings, text, program, root, path.name)


def check_sources_are_copied(findings, root):
    """What the top CMakeLists.txt reads with the tests left out is in both images."""
    cmake = (root / "CMakeLists.txt").read_text(encoding="utf-8") + (root / "cmake/Install.cmake").read_text(encoding="utf-8")
    needed = {name for name in ("cmake", "kernels", "framework", "launcher", "configs") if re.search(rf"\b{name}\b", cmake)}
    for name in ("Dockerfile", "athanor.def"):
        text = (root / "cluster/container" / name).read_text(encoding="utf-8")
        for folder in needed | {"CMakeLists.txt", "CMakePresets.json"}:
            findings.want(re.search(rf"^(COPY)?\s.*\b{re.escape(folder)}\b", text, re.MULTILINE),
                          f"{name}: {folder} is not copied, and the build needs it")


def main():
    root, program = Path(sys.argv[1]), sys.argv[2]
    findings = Findings()
    check_dockerfile(findings, root, program)
    check_definition(findings, root, program)
    check_sources_are_copied(findings, root)
    findings.end()


if __name__ == "__main__":
    main()
