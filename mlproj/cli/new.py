"""`mlproj new NAME`: a repository that runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlproj.base.errors import ConfigError
from mlproj.cli import tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlproj.flows.new import New
    from mlproj.scaffold.environment import Interpreter
    from mlproj.scaffold.house import House

_TEMPLATE_HELP = (
    "Somebody else's Cookiecutter or Copier template: a folder, git URL, zip, or `gh:user/repository`."
)
_CONFIG_HELP = "A TOML file of defaults for these options, before ~/.config/mlproj/config.toml."
# The name of mlproj's own, for one whose house has another by default.
_OWN = "mlproj"
_LIFECYCLE = ("project_name", "module_name", "description", "author")
_DEFAULTS_HELP = "Ask nothing: take the default of every question that no option answers."


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the project and of its folder, e.g. `churn-model`.")
    ],
    *,
    data: Annotated[
        Path | None, typer.Option(help=f"{tables.DATA_HELP} Without it, a simulated example.")
    ] = None,
    target: tables.Target = None,
    delimiter: tables.Delimiter = None,
    encoding: tables.Encoding = None,
    task: tables.Task = None,
    missing: tables.Missing = None,
    keep: tables.Keep = None,
    module: Annotated[str, typer.Option(help="Name of the Python package; else from NAME.")] = "",
    description: Annotated[str, typer.Option(help="What the project is, in a sentence.")] = "",
    author: tables.Author = "",
    license: Annotated[str, typer.Option(help="MIT, BSD-3-Clause, Apache-2.0 or none.")] = "",
    python: tables.Python = "",
    env_manager: tables.EnvManager = "",
    interpreter: Annotated[
        Path | None, typer.Option(help="The Python to use with `--env-manager none`; else the active one.")
    ] = None,
    storage: Annotated[str, typer.Option(help="Where data is pushed: local, s3, gcs, azure or ssh.")] = "",
    storage_url: Annotated[str, typer.Option(help="Its address, e.g. `s3://bucket/folder`.")] = "",
    docs: Annotated[str, typer.Option(help="Documentation site: mkdocs or none.")] = "",
    ci: Annotated[str, typer.Option(help="Continuous integration: github, gitlab or none.")] = "",
    template: Annotated[str | None, typer.Option(metavar="SOURCE", help=_TEMPLATE_HELP)] = None,
    checkout: Annotated[
        str | None, typer.Option(metavar="REF", help="Branch, tag or commit of `--template`.")
    ] = None,
    directory: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where in `--template` the template is.")
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An answer to `--template`. May be given again."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Let `--template` run its code without being asked.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Answer `--template` as the last time (Cookiecutter's replay).")
    ] = False,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=_CONFIG_HELP)] = None,
    bare: Annotated[bool, typer.Option("--bare", help="Folders and documents only, no pipeline.")] = False,
    defaults: Annotated[bool, typer.Option("--defaults", help=_DEFAULTS_HELP)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be made; touch nothing.")
    ] = False,
) -> None:
    """Generate a repository with a working pipeline, for your table or for an example.

    Example: mlproj new churn-model --data telco.csv --target Churn
    """
    from mlproj.cli import render
    from mlproj.flows.new import create, must_be_free, surroundings
    from mlproj.scaffold.answers import Answers

    asks = not defaults and not dry_run and sys.stdin.isatty()
    about = (target, delimiter, encoding, task, missing, keep)
    tables.need_data(data, about)
    words = {
        "project_name": name,
        "module_name": module,
        "description": description,
        "author": author,
        "license": license,
        "python_version": python,
        "env_manager": env_manager,
        "storage": storage,
        "storage_url": storage_url,
        "docs": docs,
        "ci": ci,
        "scaffold": "bare" if bare else "",
    }
    defaulted = _house(config)
    house = defaulted.defaults
    source = (house.get("template") or _OWN) if template is None else template
    if source != _OWN:
        from mlproj.cli import new_template
        from mlproj.flows.adopt import Wishes

        _must_be_theirs(words, interpreter)
        table = tables.told(data, *about, asks=asks) if data is not None else None
        new_template.generate(
            name,
            source,
            checkout=checkout,
            directory=directory,
            answers=answer or (),
            trust=trust,
            replay=replay,
            defaults=defaults,
            dry_run=dry_run,
            wishes=Wishes(words=_lifecycle(words, house), table=table),
        )
        return
    if answer or checkout or directory or trust or replay:
        raise ConfigError(
            "`--answer`, `--checkout`, `--directory`, `--trust` and `--replay` are for others' templates",
            hint="name it with `--template SOURCE`",
        )
    typed, words = words, _with_defaults(words, house)
    try:
        found = _interpreter(interpreter, words)
        answers = Answers.from_words(words)
    except ConfigError as error:
        raise _placed(error, {key: file for key, file in defaulted.files.items() if not typed[key]}) from None
    folder = Path.cwd() / answers.project_name
    must_be_free(folder)  # before a person answers questions in vain
    table = tables.told(data, *about, asks=asks) if data is not None else None
    if said := surroundings(folder):
        render.warning(said)
    if asks:
        answers = Answers.from_words(_asked(words))
    made = create(
        folder,
        answers,
        table=table,
        interpreter=found,
        dry_run=dry_run,
        say=render.talk,
    )
    _show(made)


def _house(config: Path | None) -> House:
    from mlproj.cli import render
    from mlproj.scaffold import house

    found = house.load(config)
    for warning in found.warnings:
        render.warning(warning)
    return found


def _with_defaults(words: Mapping[str, str], house: Mapping[str, str]) -> dict[str, str]:
    """What was typed, below it the house's defaults, below these what the machine says."""
    if words["storage"] or words["storage_url"]:
        house = {key: word for key, word in house.items() if key not in ("storage", "storage_url")}
    said = {key: word or house.get(key, "") for key, word in words.items()}
    said["author"] = said["author"] or tables.author()
    return said


def _placed(error: ConfigError, files: Mapping[str, Path]) -> ConfigError:
    """The same error, in which a line about a word that nobody typed names the file of that word."""
    lines = error.message.splitlines()
    for key, file in files.items():
        option = "--python" if key == "python_version" else f"--{key.replace('_', '-')}"
        lines = [f"{line} (it stands in `{file}`)" if f"`{option} " in line else line for line in lines]
    return ConfigError("\n".join(lines), hint=error.hint)


def _lifecycle(words: Mapping[str, str], house: Mapping[str, str]) -> dict[str, str]:
    """The answers that are mlproj's own to ask, whoever's template it is."""
    said = {key: word for key, word in words.items() if key in _LIFECYCLE}
    said["author"] = said["author"] or house.get("author", "") or tables.author()
    return said


def _must_be_theirs(words: Mapping[str, str], interpreter: Path | None) -> None:
    """Raises ConfigError for an option that answers a question of mlproj's own template."""
    given = [key for key, word in words.items() if word and key not in _LIFECYCLE]
    given += ["interpreter"] if interpreter else []
    if given:
        option = {"python_version": "--python", "scaffold": "--bare"}
        shown = ", ".join(f"`{option.get(key, '--' + key.replace('_', '-'))}`" for key in given)
        raise ConfigError(
            f"{shown}: that is a question of mlproj's own template, and `--template` names another",
            hint="answer the other's questions with `--answer KEY=VALUE`",
        )


def _interpreter(named: Path | None, words: dict[str, str]) -> Interpreter | None:
    """The interpreter of a project whose environment is not managed; its version answers a question."""
    from mlproj.scaffold import environment

    if words["env_manager"].casefold() != "none":
        if named is None:
            return None
        raise ConfigError(
            "`--interpreter` goes with an environment that is not managed",
            hint="add `--env-manager none`, or leave `--interpreter` out",
        )
    found = environment.interpreter(named)
    if words["python_version"] not in ("", found.version):
        raise ConfigError(
            f"`{found.path}` is Python {found.version}, which is not `--python {words['python_version']}`",
            hint="leave `--python` out, or name another with `--interpreter PATH`",
        )
    words["python_version"] = found.version
    return found


def _asked(words: Mapping[str, str]) -> dict[str, str]:
    """The words, with those asked for that neither an option nor the machine can say."""
    said = dict(words)
    if not said["description"]:
        said["description"] = tables.ask("What is it, in a sentence", "A machine learning project")
    if not said["author"]:
        said["author"] = tables.ask("You or your organisation", "")
    if not said["license"]:
        said["license"] = tables.ask("Licence: MIT, BSD-3-Clause, Apache-2.0 or none", "MIT")
    if not said["storage"]:
        storage = tables.ask("Where data is pushed: local, s3, gcs, azure or ssh", "local")
        said["storage"] = storage
        if storage != "local" and not said["storage_url"]:
            said["storage_url"] = tables.ask("Its address")
    if not said["ci"]:
        said["ci"] = tables.ask("Continuous integration: github, gitlab or none", "github")
    return said


def _show(made: New) -> None:
    from mlproj.cli import render

    if made.is_dry_run:
        render.line(f"{made.root.name}/")
        for text in tree(made.files):
            render.line(text)
        render.line(f"\n{len(made.files)} files; nothing was written")
        return
    render.line(f"made {made.root.name}: {len(made.files)} files in a first commit")
    if made.answers.scaffold == "full" or made.raw:
        tables.show(made.findings)
    for note in made.notes:
        render.line(f"note: {note}")
    render.line("\nnext:")
    render.line(f"  cd {made.root.name}")
    if made.answers.scaffold == "full":
        render.line("  $EDITOR docs/scoping.md     # what is promised: targets, milestones")
        render.line('  mlproj approve --role "business owner"   # signs the targets off')
        render.line("  mlproj stage scoping        # judges it; then data, then modeling")
        render.line("  mlproj                      # where the project stands, at any time")
    else:
        render.line("  mlproj                      # where the project stands")


def tree(paths: Sequence[str]) -> list[str]:
    """The lines of a picture of the tree that the paths make, folders first."""
    root: dict[str, Any] = {}
    for path in paths:
        folder = root
        *parents, name = path.split("/")
        for parent in parents:
            folder = folder.setdefault(parent, {})
        folder[name] = None
    return list(_branches(root, ""))


def _branches(folder: Mapping[str, Any], indent: str) -> Iterator[str]:
    entries = sorted(folder.items(), key=lambda entry: (entry[1] is None, entry[0]))
    for number, (name, inside) in enumerate(entries, start=1):
        is_last = number == len(entries)
        yield f"{indent}{'└── ' if is_last else '├── '}{name}{'/' if inside is not None else ''}"
        if inside is not None:
            yield from _branches(inside, indent + ("    " if is_last else "│   "))
