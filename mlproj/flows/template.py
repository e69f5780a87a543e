"""`mlproj new --template`: somebody else's template, and the lifecycle on top of what it made."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import files, git, process
from mlproj.base.errors import ConfigError, MissingToolError, ToolError, nearest
from mlproj.flows import adopt, new
from mlproj.flows.adopt import Plan, Wishes
from mlproj.provenance import travel
from mlproj.scaffold import foreign
from mlproj.scaffold.foreign import Foreign, Kind

Say = Callable[[str], None]

# What templates call the name of the project; one that derives it from another question is left to do so.
_NAMES = ("project_name", "repo_name", "project_slug", "repository_name")
_ENVIRONMENTS = (".venv", "venv")


@dataclass(frozen=True, kw_only=True)
class Made:
    """What came of it. `files` are those of both commits, in order."""

    root: Path
    template: Foreign
    plan: Plan
    files: tuple[str, ...]
    notes: tuple[str, ...]


@contextmanager
def fetched(
    source: str, folder: Path, *, checkout: str | None, directory: str | None, say: Say
) -> Iterator[Foreign]:
    """The template, in a folder beside `folder` that goes with the block; nothing of it has been run."""
    new.must_be_free(folder)
    with new.beside(folder, False) as work:
        say(f"fetching {source}")
        yield foreign.fetch(source, work / "template", checkout=checkout, directory=directory)


def create(
    folder: Path,
    template: Foreign,
    *,
    answers: Mapping[str, str],
    defaults: bool,
    replay: bool,
    wishes: Wishes,
    say: Say,
) -> Made:
    """Let the template make its files, check them, add the lifecycle, commit both, and put it in place whole.

    The template is one that a person has agreed to. Raises ConfigError where it writes, or leads, out of its
    folder; ToolError where its engine or its own code fails. Either leaves nothing.
    """
    _must_be_asked(template, answers)
    work = next(up for up in template.folder.parents if up.name == "template").parent
    say(f"{template.kind} makes the files")
    made = _rendered(folder.name, template, answers, work, defaults=defaults, replay=replay)
    notes = [
        f"`{name}` was left out: an environment works only where it was made" for name in _unmovable(made)
    ]
    foreign.refuse_links_out(made, what="what the template made")
    foreign.refuse_smuggled(made, template)
    _mend_answers(made, template)
    if git.toplevel(made) != made.resolve():
        git.git(made, "init", "--quiet", "--initial-branch=main")
    identity, said = new.stand_in(made, wishes.words.get("author", ""))
    notes += said
    if git.head(made) is None or git.is_dirty(made):
        new.commit(made, f"Begin {folder.name} from {template.source}", identity)
    plan = _adopted(made, wishes, say=say)
    new.commit(made, "Add the lifecycle of mlproj", identity)
    listed = tuple(git.output(made, "ls-files", "-z").rstrip("\0").split("\0"))
    with new.published(made, folder):
        travel.set_up(folder)
    return Made(root=folder, template=template, plan=plan, files=listed, notes=(*notes, *plan.notes))


def _adopted(made: Path, wishes: Wishes, *, say: Say) -> Plan:
    found = adopt.look(made)
    guesses = {stage.name: found.guesses[stage.name].phase for stage in found.without_phase}
    phases = {name: phase for name, phase in guesses.items() if phase is not None}
    plan = adopt.plan(found, adopt.with_phases(wishes, phases), say=say)
    adopt.apply(plan, say=say)
    return plan


def _must_be_asked(template: Foreign, answers: Mapping[str, str]) -> None:
    if {"template", "templates"} & {*template.questions}:
        return  # which of several asks what is known once one is chosen
    for key in answers:
        if key not in template.questions:
            near = nearest(key, template.questions)
            raise ConfigError(
                f"`--answer {key}=...`: the template does not ask for `{key}`",
                hint=f"did you mean `{near}`?" if near else f"it asks for {', '.join(template.questions)}",
            )


def _rendered(
    name: str, template: Foreign, answers: Mapping[str, str], work: Path, *, defaults: bool, replay: bool
) -> Path:
    """The folder that the engine made, in a process of its own that can write only below `work`."""
    out, temporary, result = work / "made", work / "tmp", work / "result.json"
    out.mkdir()
    temporary.mkdir()
    suggested = {key: name for key in _NAMES if key in template.questions and key not in answers}
    if template.kind is not Kind.COPIER:
        suggested = _not_derived(template, suggested)
    job = {
        "kind": template.kind,
        "template": str(template.folder),
        "out": str(out),
        "name": name,
        "answers": dict(answers) if template.kind is Kind.COPIER else {**suggested, **answers},
        "suggested": suggested,
        "defaults": defaults,
        "replay": replay,
        "result": str(result),
        # Copier asks git about its template; its expressions are sandboxed.
        "starts": bool(template.runs) or template.kind is Kind.COPIER,
        # Cookiecutter keeps the answers it was given, for `--replay`.
        "folders": [str(work), *([] if template.kind is Kind.COPIER else [str(_replays())])],
    }
    files.write_json(work / "job.json", job)
    env = {"TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    code = process.talk(
        *(sys.executable, "-P", "-m", "mlproj.scaffold.guarded"),
        work / "job.json",
        cwd=temporary,
        env=env,
        asks=not defaults,
    )
    if code == 130:
        raise KeyboardInterrupt
    said = files.read_json(result) or {}
    if "refused" in said:
        raise ConfigError(
            f"the template wants to {said['refused'].replace(f'{work}/', '')}",
            hint="it was stopped before that; do not use this template",
        )
    wrong = said.get("answer") or ""
    if wrong in answers:
        raise ConfigError(
            f"`--answer {wrong}={answers[wrong]}` is not taken: {said['error']}",
            hint=f"give another with `--answer {wrong}=VALUE`",
        )
    if required := re.fullmatch(r'Question "(.*)" is required', said.get("error", "")):
        raise ConfigError(
            f"the template asks for `{required[1]}`, for which it has no default",
            hint=f"answer it with `--answer {required[1]}=VALUE`",
        )
    if "made" not in said:
        raise ToolError(
            f"{template.kind} could not make the files: {said.get('error') or f'exit code {code}'}",
            hint="an answer is given with `--answer KEY=VALUE`; what its own code said stands above",
            returncode=code,
        )
    return _only_folder(out)


def _only_folder(out: Path) -> Path:
    made = list(out.iterdir())
    if len(made) != 1 or made[0].is_symlink() or not made[0].is_dir():
        raise ConfigError("the template did not make one folder, so there is no project")
    return made[0]


def _not_derived(template: Foreign, suggested: Mapping[str, str]) -> dict[str, str]:
    mark = "ccds.json" if template.kind is Kind.CCDS else "cookiecutter.json"
    asked = files.read_json(template.folder / mark) or {}
    return {key: name for key, name in suggested.items() if "{{" not in str(asked.get(key))}


def _replays() -> Path:
    from cookiecutter.config import get_user_config

    folder = Path(get_user_config()["replay_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _unmovable(made: Path) -> list[str]:
    """Take out the environments that a template's hooks made, and name them."""
    found = [name for name in _ENVIRONMENTS if (made / name / "pyvenv.cfg").is_file()]
    for name in found:
        files.remove(made / name)
    return found


def _mend_answers(made: Path, template: Foreign) -> None:
    """Copier records where the template was; the folder it was fetched to is gone afterwards."""
    for path in made.glob(".copier-answers*.yml"):
        text = path.read_text(encoding="utf-8")
        files.write_text(path, text.replace(str(template.folder), template.source))


def agreed(trust: bool, *, asks: bool, confirm: Callable[[], bool]) -> bool:
    """Whether a person lets the template run. Raises ConfigError where nobody can be asked."""
    if trust:
        return True
    if not asks:
        raise ConfigError(
            "a template is code from elsewhere, and nobody can be asked whether it may run",
            hint="look at it, then add `--trust`",
        )
    return confirm()


def must_have_engine(template: Foreign) -> None:
    """Raises MissingToolError where the template needs a package that mlproj does not bring."""
    if template.kind is Kind.CCDS and importlib.util.find_spec("ccds") is None:
        raise MissingToolError(
            "this template needs the package `cookiecutter-data-science`, which is not installed with mlproj",
            hint="run `uv tool install mlproj --with cookiecutter-data-science`, then the command again",
        )
