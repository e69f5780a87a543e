"""What an environment is. Runs with its own interpreter, which may know nothing of mlproj.

Answers with one JSON object on stdout: `python`, `platform`, and `packages`, all of them, by name.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib import metadata


def main() -> None:
    packages: dict[str, str] = {}
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name:
            packages.setdefault(re.sub(r"[-_.]+", "-", name).lower(), each.version)
    said = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
    }
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
