"""`mlproj trace SUBJECT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlproj.base.errors import ConfigError, Exit, nearest

_SUBJECT = "A prediction's id, a version (`v3`), a run, a commit, or a data file (path or MD5)."
_WITH = "Another project, or its data folder, whose models answered the same request. May be given again."
_JSON = "For a script; docs/concepts/trace.md has the keys."
_GRAPH = "Draw it as SVG into this file."
_EXPORT = "Print it as `prov` (W3C PROV-JSON) or `openlineage` (events, one a line)."
_REMOTE = "Ask a remote that is no local folder which objects it has; takes seconds."
_VERIFY = "Read every object that is here, and compare its digest."
_COUNT = "Count today's predictions to the last, however long it takes."
_FORMATS = ("prov", "openlineage")


def trace(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help=_SUBJECT)],
    with_: Annotated[list[Path] | None, typer.Option("--with", metavar="PATH", help=_WITH)] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
    graph: Annotated[Path | None, typer.Option(metavar="FILE.svg", help=_GRAPH)] = None,
    export: Annotated[str | None, typer.Option(metavar="FORMAT", help=_EXPORT)] = None,
    remote: Annotated[bool, typer.Option("--remote", help=_REMOTE)] = False,
    verify: Annotated[bool, typer.Option("--verify", help=_VERIFY)] = False,
    count_all: Annotated[bool, typer.Option("--count-all", help=_COUNT)] = False,
) -> None:
    """Say what something came from and what it reached: version, run, code, data, people.

    Reads only what lasts: the prediction log, the deployments, git, DVC's objects. Exits 3 when a link of the
    chain is broken; each that is broken is named, with what is known all the same.

    Example: mlproj trace 0safxhkj40400
    """
    from mlproj.cli import render, render_trace
    from mlproj.flows.trace import Options
    from mlproj.flows.trace import trace as find
    from mlproj.project import Project

    if export is not None and export not in _FORMATS:
        near = nearest(export, _FORMATS)
        raise ConfigError(
            f"`--export {export}` is not a format",
            hint=f"did you mean `{near}`?" if near else "choose of prov, openlineage",
        )
    if graph is not None and graph.suffix.lower() != ".svg":
        raise ConfigError(f"`--graph {graph}`: the picture is an SVG", hint="name a file that ends in `.svg`")
    if export is not None and as_json:
        raise ConfigError("`--json` and `--export` both print JSON", hint="leave one of them out")
    options = Options(others=tuple(with_ or ()), ask_remote=remote, verify=verify, count_all=count_all)
    found = find(Project.find(), subject, options)
    if graph is not None:
        render_trace.draw(found, graph)
    if export is not None:
        render_trace.exported(found, export)
    elif as_json:
        render.as_json(render_trace.as_json(found))
    else:
        render_trace.show(found)
    raise typer.Exit(Exit.DONE if found.is_whole else Exit.NO)
