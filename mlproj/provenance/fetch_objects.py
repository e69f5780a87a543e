"""Fetch objects from a DVC remote into the cache. Runs with the project's interpreter, as `ask_remote` does.

Takes one JSON object on stdin, {"remote": name, "digests": [...]}. What the remote does not have is left out
without a word: the caller looks into the cache afterwards.
"""

import json
import os
import sys

os.environ.setdefault("DVC_NO_ANALYTICS", "true")

from dvc.repo import Repo  # type: ignore[import-untyped]
from dvc_data.hashfile.hash_info import HashInfo

# DVC 3 names objects by the bytes as they are, DVC 2 named them by the text with its line ends folded.
KINDS = ("md5", "md5-dos2unix")


def main() -> None:
    asked = json.load(sys.stdin)
    with Repo() as repo:
        for kind in KINDS:
            store = repo.cloud.get_remote_odb(asked["remote"], "fetch", hash_name=kind)
            there = set(store.oids_exist(asked["digests"]))
            inside = {
                entry["md5"]
                for digest in there
                if digest.endswith(".dir")
                for entry in json.loads(store.fs.cat_file(store.oid_to_path(digest)))
            }
            # The files of a folder first: where its listing is, DVC takes the folder to be whole.
            for digests in (inside, there):
                repo.cloud.pull([HashInfo(kind, each) for each in digests], remote=asked["remote"])


if __name__ == "__main__":
    main()
