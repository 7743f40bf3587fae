"""The event log on the Hub: reading every process's file back, and pushing this process's one."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitInfo, CommitScheduler, HfApi, constants, get_session
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from core.study.records import Event
from core.study.storage import eventlog

PATH_IN_REPO = "votes"
_ANSWER_TIMEOUT_S = 30.0  # huggingface_hub's client would wait without end


def hub(token: str) -> HfApi:
    """Return the Hub at `HF_ENDPOINT`, or the public one."""
    disable_progress_bars()  # they have no place in a server's output
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or constants.ENDPOINT, token=token)


class LogReader:
    """Read the dataset's logs but for this process's own; a file that was accepted only after it has changed.

    Args:
        own: name of the file that this process pushes.
    """

    def __init__(self, api: HfApi, dataset: str, *, own: str) -> None:
        self._api, self._dataset, self._own = api, dataset, f"{PATH_IN_REPO}/{own}"
        self._seen: dict[str, str] = {}

    def make_dataset(self) -> None:
        """Make the dataset as a private one unless it exists. Raises what the network raises."""
        get_session().timeout = _ANSWER_TIMEOUT_S
        self._api.create_repo(self._dataset, repo_type="dataset", private=True, exist_ok=True)

    def read(self) -> tuple[list[Event], Mapping[str, str]]:
        """Return the events of all files that are new or have changed, and what to `accept` once they are kept.

        Raises what the network raises.
        """
        get_session().timeout = _ANSWER_TIMEOUT_S
        listed = self._api.list_repo_tree(self._dataset, repo_type="dataset", recursive=True)
        there = {entry.path: entry.blob_id for entry in listed if isinstance(entry, RepoFile)}
        changed = [
            path
            for path, blob in there.items()
            if fnmatch(path, f"{PATH_IN_REPO}/*.jsonl") and path != self._own and self._seen.get(path) != blob
        ]
        return (self._download(changed) if changed else []), {path: there[path] for path in changed}

    def accept(self, seen: Mapping[str, str]) -> None:
        """Note that the files which `read` returned are kept, so that they are not read again before they change."""
        self._seen.update(seen)

    def _download(self, paths: list[str]) -> list[Event]:
        # Into an empty folder: with a filled one the client takes old copies when the Hub falls silent.
        with tempfile.TemporaryDirectory(prefix="votes-") as folder:
            snapshot = self._api.snapshot_download(
                self._dataset, repo_type="dataset", allow_patterns=paths, cache_dir=folder
            )
            return eventlog.read([Path(snapshot) / path for path in paths])


def reason(error: BaseException) -> str:
    """Say what an owner needs to know about a failed call: "refused the token" or "could not be reached"."""
    response = error.response if isinstance(error, HfHubHTTPError) else None
    return (
        "refused the token" if response is not None and response.status_code in (401, 403) else "could not be reached"
    )


class LogScheduler(CommitScheduler):
    """Push one file of a folder every few minutes and report how each push went.

    A failed push is tried again at the next turn: the file is then still newer than what was last uploaded.

    Args:
        report: called with the error of each push that failed, with None after each that went well.
    """

    def __init__(
        self, api: HfApi, dataset: str, path: Path, *, every_min: float, report: Callable[[Exception | None], None]
    ) -> None:
        self._report = report
        self._pushing = threading.Lock()
        super().__init__(
            repo_id=dataset,
            repo_type="dataset",
            private=True,
            folder_path=path.parent,
            path_in_repo=PATH_IN_REPO,
            allow_patterns=path.name,
            every=every_min,
            hf_api=api,
        )

    def push_to_hub(self) -> CommitInfo | None:
        """Upload what the file has gained, one push at a time."""
        with self._pushing:
            get_session().timeout = _ANSWER_TIMEOUT_S
            try:
                commit = super().push_to_hub()
            except Exception as error:
                self._report(error)
                raise
        self._report(None)
        return commit
