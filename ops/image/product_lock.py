"""`python product_lock.py`: the part of requirements.lock that the product itself needs, without the tools.

Read from the lock alone: it says of each package which others asked for it. Needs only the standard library, and
pyproject.toml and requirements.lock in the current folder.
"""

import re
import sys
import tomllib
from pathlib import Path

_ENTRY = re.compile(r"^[a-z0-9][^\n]*\n(?:[ ]+[^\n]*\n)*", re.MULTILINE)


def product_lock(pyproject: str, lock: str) -> str:
    """The entries, as they stand, of the project's dependencies and of everything that those ask for."""
    entries = {entry.partition("==")[0]: entry for entry in _ENTRY.findall(lock)}
    asked_by = {name: _asked_by(entry) for name, entry in entries.items()}
    needed = {_canonical(requirement) for requirement in tomllib.loads(pyproject)["project"]["dependencies"]}
    while more := {name for name in entries if name not in needed and needed & asked_by[name]}:
        needed |= more
    if missing := sorted(needed - entries.keys()):
        raise ValueError(f"not in the lock: {', '.join(missing)}")
    return "".join(entries[name] for name in sorted(needed))


def _asked_by(entry: str) -> set[str]:
    """The names in the comment `# via one, another`, which takes a line or several."""
    comment = " ".join(line.strip("# ") for line in entry.splitlines() if line.strip().startswith("#"))
    return set(comment.removeprefix("via").replace(",", " ").split())


def _canonical(requirement: str) -> str:
    name = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.stdout.write(product_lock(Path("pyproject.toml").read_text(), Path("requirements.lock").read_text()))
