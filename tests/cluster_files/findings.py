"""What the tests of this folder share: they collect what is wrong and print all of it."""

import subprocess
import sys

SKIP = 77


class Findings:
    def __init__(self):
        self.wrong = []

    def want(self, condition, message):
        if not condition:
            self.wrong.append(message)

    def end(self):
        print("\n".join(self.wrong) if self.wrong else "all well")
        sys.exit(1 if self.wrong else 0)


def help_of(program, command):
    """What `athanor COMMAND --help` prints."""
    return subprocess.run([program, command, "--help"], capture_output=True, text=True, check=True).stdout


def want_command_line(findings, words, program, root, prefix, place):
    """`words` (athanor's, without the program) are a command, a recipe that is installed below `prefix`, and options
    that the command has."""
    text = help_of(program, words[0])
    for word in words[1:]:
        if word.startswith("--"):
            findings.want(word in text, f"{place}: `athanor {words[0]}` has no option {word}")
        elif word.startswith(prefix):
            recipe = root / word[len(prefix):].removeprefix("/share/athanor/")
            findings.want(recipe.is_file(), f"{place}: there is no {recipe}, which {word} is installed from")
