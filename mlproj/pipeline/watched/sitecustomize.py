"""Notes which files a stage opens to read. Python imports this at its start, before the stage's own code.

The stage is `DVC_STAGE`, which DVC sets; the notes go to the folder `MLPROJ_OPENED`, a file for each process:
a line with the stage when it begins, then one with stage, tab and path for each file. Files that a library
opens without Python (DuckDB, Arrow given a folder) are not seen. Standard library only: it runs in the
project's environment.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_WRITES = frozenset("wax")


def _watch(stage: str, folder: str) -> None:
    notes = os.open(f"{folder}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(notes, f"{stage}\n".encode())
    # Thousands of modules are opened from here, and none is an input.
    installed = (f"{sys.prefix}{os.sep}", f"{sys.base_prefix}{os.sep}", "/proc/", "/sys/", "/dev/")
    seen = set()

    def note(event: str, arguments: tuple) -> None:  # type: ignore[type-arg]
        if event != "open":
            return
        path, mode, flags = arguments
        if isinstance(path, str) and path.startswith(installed):
            return
        if isinstance(path, int) or path is None or path in seen:
            return
        writes = _WRITES.intersection(mode) if mode else flags & os.O_ACCMODE == os.O_WRONLY
        if writes:
            return
        seen.add(path)
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        if not name.startswith(installed) and "\n" not in name:
            os.write(notes, f"{stage}\t{name}\n".encode(errors="surrogateescape"))

    sys.addaudithook(note)


def _go_on() -> None:
    """Run the `sitecustomize` that would have been found without this one."""
    here = os.path.dirname(__file__)  # noqa: PTH120
    sys.path[:] = [entry for entry in sys.path if entry != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if os.environ.get("DVC_STAGE") and os.environ.get("MLPROJ_OPENED"):
    _watch(os.environ["DVC_STAGE"], os.environ["MLPROJ_OPENED"])
_go_on()
