"""Puts the documents of this folder on the site, beside the pages in docs/docs/."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

DOCUMENTS = ["scoping.md", "data.md", "labeling.md", "model_card.md"]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    folder = Path(config.config_file_path).parent
    for name in DOCUMENTS:
        if (folder / name).is_file():
            files.append(
                File(
                    name,
                    src_dir=str(folder),
                    dest_dir=config.site_dir,
                    use_directory_urls=config.use_directory_urls,
                )
            )
    return files
