"""Keep votes where a restart doesn't reach them: an event log beside the database, pushed to a Hub dataset.

A Space loses its disk when it restarts. So every process writes the store's new events to one file of its own
(`votes-log/<uuid>.jsonl`), and with `STYLEIDENTITY_VOTES_DATASET` and a token a `CommitScheduler` pushes that file
every five minutes. At the start all files of the dataset are read back and replayed, and what the dataset lacks of
this store's events goes into the new file. As often as it pushes, the process also takes in what others pushed: so an
owner can withdraw a participant or close a study from any machine. Votes never wait for the log or the network: the
store answers first, threads of their own do the rest and try again for as long as it takes.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import TracebackType

from huggingface_hub import get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from core.errors import Sentence
from core.study.records import Event
from core.study.storage import eventlog
from core.study.storage.hub_log import LogReader, LogScheduler, hub, reason
from core.study.storage.store import Store

DATASET_ENV = "STYLEIDENTITY_VOTES_DATASET"

_LOOK_EVERY_S = 5.0  # for events that another process recorded, such as a withdrawal from the shell
_RETRY_S = 30.0
_OPEN_S, _CLOSE_S = 20.0, 20.0

_logger = logging.getLogger(__name__)


class Durability:
    """Write the log of a store and, with a dataset, keep it on the Hub. Use it as a context manager, or `close()`.

    Args:
        dataset: "owner/name" of a Hub dataset, made as a private one if it doesn't exist; None keeps votes here only.
        token: with write access to it.
        every_min: minutes between two pushes.
    """

    def __init__(self, store: Store, *, dataset: str | None, token: str | None, every_min: float = 5.0) -> None:
        self._store = store
        self._dataset, self._token, self._every_min = dataset or "", token or "", every_min
        self._path = store.log_dir / f"{uuid.uuid4()}.jsonl"
        self._written: set[str] = set()  # uuids in this process's file
        self._in_dataset: set[str] = set()  # uuids seen in the others' files
        self._appending = threading.Lock()
        self._obstacle = _obstacle(dataset, token)
        self._trouble: Sentence | None = None
        self._scheduler: LogScheduler | None = None
        self._wake, self._closing, self._tried = threading.Event(), threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._pid = os.getpid()

    @classmethod
    def from_environment(cls, store: Store) -> Durability:
        """Return what `STYLEIDENTITY_VOTES_DATASET` and the Hub's own token (`HF_TOKEN`, or a login) ask for."""
        dataset = os.environ.get(DATASET_ENV, "").strip() or None
        return cls(store, dataset=dataset, token=get_token() if dataset else None)

    @property
    def sentence(self) -> str:
        """Where votes are kept right now, for the page and the status line."""
        if self._obstacle is not None:
            return self._obstacle
        trouble = self._trouble or (Sentence("is being opened") if self._scheduler is None else None)
        if trouble is not None:
            return Sentence(
                "Votes are kept on this machine; the dataset {dataset} {trouble}.",
                dataset=self._dataset,
                trouble=trouble,
            )
        if self._every_min == 1:
            return Sentence("Votes are saved to the dataset {dataset} every minute.", dataset=self._dataset)
        return Sentence(
            "Votes are saved to the dataset {dataset} every {count} minutes.",
            dataset=self._dataset,
            count=f"{self._every_min:g}",
        )

    @property
    def is_saved(self) -> bool:
        """Whether votes outlive this machine's disk: the dataset took the last push, or was just opened."""
        return self._scheduler is not None and self._trouble is None

    @property
    def is_read(self) -> bool:
        """Whether the dataset's votes have been taken in."""
        return self._scheduler is not None

    def start(self) -> Durability:
        """Start the work in the background, once; wait a while for the first look into the dataset."""
        if self._threads:
            return self
        self._store.on_commit(self._wake.set)
        atexit.register(self.close)
        self._run(self._keep_log)
        if self._obstacle is None:
            self._run(self._keep_connected)
            self._tried.wait(_OPEN_S)
        elif self._dataset:
            _logger.warning("%s", self._obstacle)
        return self

    def flush(self) -> int:
        """Write the store's new events to the log now; return how many. Raises what the disk raises."""
        return self._store.hand_over(self._append)

    def push(self) -> None:
        """Write the log and push it now, in this thread. Raises what the network raises; a retry follows anyway."""
        self.flush()
        if self._scheduler is not None:
            self._scheduler.push_to_hub()

    def close(self) -> None:
        """Write and push what is left, waiting a moment for it, and stop. What can't be pushed stays in the log."""
        if self._closing.is_set() or os.getpid() != self._pid:
            return
        self._closing.set()
        self._wake.set()
        deadline = time.monotonic() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._scheduler is not None:
            self._scheduler.stop()
        atexit.unregister(self.close)

    def __enter__(self) -> Durability:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work, name="votes-log", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_log(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(_LOOK_EVERY_S)
            self._wake.clear()
            self._attempt(self.flush, "written to the event log")
        self._attempt(self.push, "pushed")

    def _attempt(self, work: Callable[[], object], what: str) -> None:
        try:
            work()
        except Exception as error:  # whatever it is, the thread must live on and try again
            _logger.warning("Votes could not be %s (%s); nothing is lost.", what, _first_line(error))

    def _keep_connected(self) -> None:
        """Open the dataset, however long that takes, and then look for what others put into it."""
        reader = LogReader(hub(self._token), self._dataset, own=self._path.name)
        while not self._closing.is_set() and self._scheduler is None:
            try:
                self._connect(reader)
            except Exception as error:  # also answers that are not the Hub's, behind a proxy's login page
                self._report(error)
                self._tried.set()
                self._closing.wait(_RETRY_S)
        self._tried.set()
        if self._closing.is_set():  # the last push may have come before there was anything to push with
            self._attempt(self.push, "pushed")
        while not self._closing.wait(self._every_min * 60):
            self._attempt(lambda: self._exchange(reader), "compared with the dataset")

    def _connect(self, reader: LogReader) -> None:
        reader.make_dataset()
        self._exchange(reader)
        self._trouble = None
        self._scheduler = LogScheduler(
            hub(self._token), self._dataset, self._path, every_min=self._every_min, report=self._report
        )
        atexit.unregister(self.close)
        atexit.register(self.close)  # so that it runs before the scheduler's own, which then finds nothing to do

    def _exchange(self, reader: LogReader) -> None:
        """Take in what others put into the dataset, and write down what neither they nor this process wrote."""
        there, seen = reader.read()
        new = self._store.replay(there, logged=True)
        reader.accept(seen)
        if new:
            _logger.info("Read %d event(s) from the dataset %s.", new, self._dataset)
        self._in_dataset |= {event.uuid for event in there}
        self._append([event for event in self._store.events_after(0) if event.uuid not in self._in_dataset])

    def _append(self, events: Sequence[Event]) -> None:
        with self._appending, self._scheduler.lock if self._scheduler is not None else nullcontext():
            fresh = [event for event in events if event.uuid not in self._written]
            if not fresh:
                return
            before = self._path.stat().st_mtime_ns if self._path.exists() else 0
            eventlog.append(self._path, fresh)
            # The scheduler knows a changed file by its time alone, which two quick writes can share.
            stamp = max(self._path.stat().st_mtime_ns, before + 1_000_000)
            os.utime(self._path, ns=(stamp, stamp))
            self._written.update(event.uuid for event in fresh)

    def _report(self, error: Exception | None) -> None:
        if error is None:
            self._trouble = None
            return
        self._trouble = Sentence("{reason}, trying again", reason=Sentence(reason(error)))
        _logger.warning("The dataset %s %s (%s).", self._dataset, self._trouble, _first_line(error))


def _obstacle(dataset: str | None, token: str | None) -> str | None:
    """Say why votes can't be saved to a dataset at all, as a sentence; None if they can."""
    if dataset is None:
        return Sentence("Votes are kept on this machine only.")
    try:
        validate_repo_id(dataset)
        named = dataset.count("/") == 1
    except HFValidationError:
        named = False
    if not named:
        return Sentence(
            "Votes are kept on this machine only: set {variable} to 'owner/name' of a dataset, not '{dataset}'.",
            variable=DATASET_ENV,
            dataset=dataset,
        )
    if not token:
        return Sentence(
            "Votes are kept on this machine only: set HF_TOKEN to a token that may write to the dataset {dataset}.",
            dataset=dataset,
        )
    return None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
