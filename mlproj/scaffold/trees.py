"""Trees of files merged by git itself, away from the work tree: nothing of the user's moves.

A workbench is a git folder of its own, with its own references (so that the labels of a conflict can be read)
and the user's objects. Everything is worked out on it; `worktree.py` brings the outcome into the work tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlproj.base import git
from mlproj.base.errors import ConfigError, MissingToolError
from mlproj.scaffold.lock import File

_USAGE = 129  # git's exit code for an option it does not know

# The merge is the same for everybody, whatever their settings say.
_SETTINGS = (
    *("-c", "merge.renames=true"),
    *("-c", "merge.renameLimit=20000"),
    *("-c", "merge.directoryRenames=conflict"),
)
# The commits that a merge wants around its trees are thrown away; git will not make one without a name.
_NAMELESS = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "mlproj"), ("EMAIL", "mlproj@localhost"), ("DATE", "2000-01-01T00:00:00Z"))
}


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A file as a tree has it: git's mode (`100644`), and the name of its content."""

    mode: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Repository:
    """The repository that a project is in, as its last commit has it."""

    root: Path  # the project's folder
    prefix: str  # where that is in the work tree: empty, or as in `teams/churn/`
    git_dir: Path
    objects: Path
    index: Path
    object_format: str
    head: str
    tree: str  # of the project's folder

    @property
    def nothing(self) -> str:
        """The name that stands for no object."""
        return "0" * len(self.head)

    @classmethod
    def of(cls, root: Path) -> Self:
        """Raises ConfigError where there is no repository, or no commit that has the project in it."""
        asked = ("--show-prefix", "--show-object-format", "--absolute-git-dir")
        said = git.git(root, "rev-parse", *asked, "--git-path", "objects", "--git-path", "index", check=False)
        if said.returncode != 0:
            raise ConfigError(
                f"`{root}` is not in a git repository, so there is nothing to merge with",
                hint="run `git init`, `git add --all` and `git commit`, then run the command again",
            )
        prefix, object_format, git_dir, objects, index = said.stdout.split("\n")[:5]
        committed = git.git(root, "rev-parse", "HEAD", "HEAD:./", check=False)
        if committed.returncode != 0:
            raise ConfigError(
                f"`{root.name}` is not in the last commit",
                hint="commit it: `git add --all . && git commit`, then run the command again",
            )
        head, tree = committed.stdout.split()
        return cls(
            root=root,
            prefix=prefix,
            git_dir=Path(git_dir),
            objects=root / objects,
            index=root / index,
            object_format=object_format,
            head=head,
            tree=tree,
        )


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A path that git could not decide. `stages`: as in git's index, 1 before, 2 yours, 3 the template's."""

    path: str
    stages: Mapping[int, Blob]


@dataclass(frozen=True, kw_only=True)
class Merged:
    tree: str
    conflicts: tuple[Conflict, ...]
    messages: tuple[tuple[tuple[str, ...], str], ...]  # paths, and what git says of them


class Workbench:
    """`place` is a folder to work in; with `keeps` false, not even an object is left in the repository."""

    def __init__(self, repository: Repository, place: Path, *, keeps: bool) -> None:
        self._place = place
        self._number = 0
        self._nothing = repository.nothing
        self._stored: dict[bytes, str] = {}
        own = place / "git"
        git.git(
            place,
            *("init", "--quiet", "--bare", "--template=", "--initial-branch=yours"),
            f"--object-format={repository.object_format}",
            str(own),
        )
        # Some commands want a work tree though they only work on an index.
        # What git says of a conflict is read here, so it speaks one language.
        self._env = {"GIT_DIR": str(own), "GIT_WORK_TREE": str(place), "LC_ALL": "C", "LANGUAGE": "C"}
        if keeps:
            self._env["GIT_OBJECT_DIRECTORY"] = str(repository.objects)
        else:
            self._env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(repository.objects)

    def blobs(self, contents: Mapping[str, File]) -> dict[str, Blob]:
        """The files stored, by the same paths."""
        fresh = {file.content for file in contents.values()} - {*self._stored}
        if fresh:
            folder = self._new("blobs")
            folder.mkdir()
            paths = {folder / str(number): content for number, content in enumerate(fresh)}
            for path, content in paths.items():
                path.write_bytes(content)
            lines = "".join(f"{path}\n" for path in paths)
            said = self._git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=lines)
            self._stored.update(zip(paths.values(), said.split(), strict=True))
        return {
            path: Blob(mode="100755" if file.executable else "100644", name=self._stored[file.content])
            for path, file in contents.items()
        }

    def tree(
        self,
        changes: Mapping[str, Blob | None],
        *,
        start: str | None = None,
        grafts: Iterable[tuple[str, str]] = (),
    ) -> str:
        """The tree `start` (default: an empty one) with files put in, or taken out where None.

        `grafts` are pairs of a folder, ending in `/`, and the tree that it becomes.
        """
        index = {"GIT_INDEX_FILE": str(self._new("index"))}
        if start:
            self._git("read-tree", start, env=index)
        lines = "".join(
            f"{blob.mode} {blob.name}\t{path}\0" if blob else f"0 {self._nothing}\t{path}\0"
            for path, blob in changes.items()
        )
        self._git("update-index", "-z", "--index-info", env=index, stdin=lines)
        for folder, tree in grafts:
            self._git("rm", "-r", "--quiet", "--cached", "--", folder, env=index)
            self._git("read-tree", f"--prefix={folder}", tree, env=index)
        return self._git("write-tree", env=index).strip()

    def entries(self, tree: str) -> dict[str, Blob]:
        found = {}
        for line in self._git("ls-tree", "-r", "-z", tree).split("\0")[:-1]:
            said, path = line.split("\t", 1)
            mode, _, name = said.split()
            found[path] = Blob(mode=mode, name=name)
        return found

    def merge(self, base: str, yours: str, theirs: str, *, label: str) -> Merged:
        """What three trees make. `label` names the third in the marks of a conflict.

        Raises MissingToolError where git is older than 2.38.
        """
        commits = [self._commit(base)]
        commits += [self._commit(tree, commits[0]) for tree in (yours, theirs)]
        for name, commit in (("yours", commits[1]), (label, commits[2])):
            self._git("update-ref", f"refs/heads/{name}", commit)
        done = git.git(
            self._place,
            *(*_SETTINGS, "merge-tree", "--write-tree", "-z", "--messages", "yours", label),
            env=self._env,
            check=False,
        )
        if done.returncode == _USAGE:
            raise MissingToolError(
                "the git on PATH is older than 2.38 and cannot merge trees",
                hint="install a newer git from https://git-scm.com/downloads, then run the command again",
            )
        if done.returncode not in (0, 1):
            raise ConfigError(f"git could not merge the template:\n{done.stderr.strip()}")
        return _parsed(done.stdout)

    def changes(self, before: str, after: str) -> tuple[tuple[str, str, str], ...]:
        """What differs between two trees: git's letter (A, D, M, R), the path, and an R's former path."""
        said = iter(self._git("diff-tree", "-r", "-z", "-M", "--name-status", before, after).split("\0")[:-1])
        found = []
        for letter in said:
            former = next(said) if letter[0] == "R" else ""
            found.append((letter[0], next(said), former))
        return tuple(found)

    def patch(self, before: str, after: str, *, prefix: str) -> str:
        """What turns one tree into the other, as text that `git apply` takes; `prefix` is the folder's."""
        names = (f"--src-prefix=a/{prefix}", f"--dst-prefix=b/{prefix}")
        return self._git("diff-tree", "-r", "-p", "-M", "--binary", "--full-index", *names, before, after)

    def _commit(self, tree: str, *parents: str) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        env = {**_NAMELESS}
        return self._git("commit-tree", tree, *words, "-m", "a side of a merge", env=env).strip()

    def _new(self, kind: str) -> Path:
        self._number += 1
        return self._place / f"{kind}-{self._number}"

    def _git(self, *words: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
        return git.git(self._place, *words, env={**self._env, **(env or {})}, stdin=stdin).stdout


def _parsed(said: str) -> Merged:
    tree, *rest = said.split("\0")
    fields = iter(rest)
    stages: dict[str, dict[int, Blob]] = {}
    for line in fields:
        if not line:
            break
        about, path = line.split("\t", 1)
        mode, name, stage = about.split()
        stages.setdefault(path, {})[int(stage)] = Blob(mode=mode, name=name)
    messages = []
    for count in fields:
        if not count.strip():
            break
        paths = tuple(next(fields) for _ in range(int(count)))
        next(fields)  # the kind of message; the text begins with it
        messages.append((paths, next(fields).strip()))
    return Merged(
        tree=tree,
        conflicts=tuple(Conflict(path=path, stages=found) for path, found in stages.items()),
        messages=tuple(messages),
    )
