#!/usr/bin/env python3
"""Refuse a commit that changes raw data: what came stays as it came.

    raw_data.py FILE...

The files are those of a commit below the folder of raw data. Adding is fine, and so is taking away: no model
then trains on other data under the same name. A file that DVC keeps is known by the digest in its `.dvc` file,
any other by its content; documents and git's own files may change.

With a reason, a commit passes: `SKIP=raw-data git commit`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

# Machine-written, one value a line, after a dash in a list. Storage with versions has an etag instead.
DIGEST = re.compile(r"^[\s-]*(md5|etag):\s*(\S+)", re.MULTILINE)
NOT_DATA = {".gitignore", ".gitkeep", ".gitattributes"}
DOCUMENTS = {".md", ".rst", ".txt"}


def main(argv: Sequence[str] | None = None) -> int:
    files = [name for name in (sys.argv[1:] if argv is None else argv) if is_data(name)]
    # `pre-commit run --from-ref A --to-ref B` judges a range instead of what is staged.
    before, after = os.environ.get("PRE_COMMIT_FROM_REF"), os.environ.get("PRE_COMMIT_TO_REF", "")
    span = [before, after] if before else ["--cached", "HEAD"]
    changed = git(
        "diff", "--name-only", "--diff-filter=M", "--no-renames", "-z", *span, "--", *files
    )
    # What another branch has, a merge brings in: nobody changes anything then.
    others = [] if before else ["MERGE_HEAD"]
    found = False
    for name in filter(None, changed.decode().split("\0") if files else ()):
        new = git("cat-file", "blob", f"{after if before else ''}:{name}")
        olds = [
            git("cat-file", "blob", f"{parent}:{name}") for parent in [before or "HEAD", *others]
        ]
        if not any(same(name, old, new) for old in olds):
            found = True
            print(refusal(name, new))
    return int(found)


def is_data(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name not in NOT_DATA and path.suffix not in DOCUMENTS


def git(*words: str) -> bytes:
    """What git answers; nothing where it has none, as before the first commit."""
    return subprocess.run(["git", *words], capture_output=True, check=False).stdout


def same(name: str, old: bytes, new: bytes) -> bool:
    return digests(old) == digests(new) if name.endswith(".dvc") else old == new


def digests(text: bytes) -> list[str]:
    """What a `.dvc` file says of its data, whatever else is written in it."""
    found = DIGEST.findall(text.decode("utf-8", "replace"))
    return sorted(value for name, value in found if name == "md5") or sorted(
        value for _, value in found
    )


def refusal(name: str, new: bytes) -> str:
    data = name.removesuffix(".dvc")
    lines = new.decode("utf-8", "replace").splitlines() if name.endswith(".dvc") else []
    line = next((n for n, text in enumerate(lines, 1) if re.match(r"[\s-]*md5:", text)), 1)
    path = PurePosixPath(data)
    other = path.with_name(f"{path.stem}-2{path.suffix}")
    back = f"`git checkout HEAD -- '{name}'`"
    if name.endswith(".dvc"):
        runner = "hooks/run " if Path("hooks/run").is_file() else ""
        back += f", then `{runner}dvc checkout '{name}'`"
    return (
        f"{name}:{line}: raw data are never changed, and `{data}` is not what it was; "
        f"go back with {back}, and keep the new data under a name of their own, such as `{other}`. "
        "If they do replace the old: SKIP=raw-data git commit"
    )


if __name__ == "__main__":
    sys.exit(main())
