"""Where PyTorch is: in a virtual environment of its own, or beside the interpreter that runs this."""

import importlib.util
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch", "torchvision", "timm")


def set_up(folder):
    """Makes the environment where it is missing and installs what it lacks. Raises subprocess.CalledProcessError."""
    python = Path(folder) / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", *PACKAGES], check=True)


def has_torch(python):
    seen = subprocess.run([str(python), "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"],
                          capture_output=True)
    return seen.returncode == 0


def find_python(folder):
    """An interpreter that has PyTorch: the environment's, else this one; None where there is none."""
    python = Path(folder) / "bin" / "python"
    if python.exists() and has_torch(python):
        return str(python)
    return sys.executable if importlib.util.find_spec("torch") else None


def missing_message(program, folder):
    return (f"there is no PyTorch in {folder}, and none beside {sys.executable}; "
            f"`{program} --setup --venv {folder}` installs it there (about 6 GB), from wherever pip is told to look")
