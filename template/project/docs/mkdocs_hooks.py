"""Puts the repository on the site: its documents, decisions, figures, and pages made of what it says."""

import posixpath
import re
from pathlib import Path

import mkdocs_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
DOCUMENTS = ["scoping.md", "data.md", "labeling.md", "model_card.md"]
MADE = {
    "results.md": mkdocs_pages.results,
    "decisions/index.md": mkdocs_pages.decisions,
    "pipeline.md": mkdocs_pages.pipeline,
    "people.md": mkdocs_pages.people,
}
# What reports know about the subject of a document goes below it, the scoping answers above the prose.
BELOW = {"data.md": mkdocs_pages.data, "model_card.md": mkdocs_pages.origin}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Paths on the site are those below docs/, so that links between documents hold here and there."""
    decisions = [f"decisions/{path.name}" for path in sorted((DOCS / "decisions").glob("*.md"))]
    for name in [*DOCUMENTS, *decisions]:
        if (DOCS / name).is_file():
            files.append(file_of(DOCS, name, config))
    for path in sorted((ROOT / "reports" / "figures").glob("*.png")):
        files.append(file_of(ROOT / "reports", f"figures/{path.name}", config))
    for name, make in MADE.items():
        if files.get_file_from_path(name) is None:  # a page of your own comes first
            files.append(File.generated(config, name, content=make(ROOT)))
    return files


def file_of(folder: Path, name: str, config: MkDocsConfig) -> File:
    return File(name, str(folder), config.site_dir, config.use_directory_urls)


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: object) -> str:
    name = page.file.src_uri
    if name == "scoping.md":
        markdown = mkdocs_pages.below_title(markdown, mkdocs_pages.promises(page.meta))
    if name in BELOW:
        markdown = f"{markdown}\n\n{BELOW[name](ROOT)}"
    if page.file.abs_src_path is None:
        return markdown
    folder = Path(page.file.abs_src_path).parent

    def shown(link: re.Match[str]) -> str:
        """A link to a file of the repository that is not on the site becomes the file's name."""
        mark, text, to = link.groups()
        path = to.partition("#")[0]
        on_site = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        target = folder / path
        if not path or files.get_file_from_path(on_site) is not None or not target.exists():
            return link[0]
        where = target.resolve()
        inside = where.relative_to(ROOT).as_posix() if where.is_relative_to(ROOT) else to
        return f"{text} (`{inside}`)" if not mark else f"`{inside}`"

    return LINK.sub(shown, markdown)
