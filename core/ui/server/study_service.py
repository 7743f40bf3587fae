"""The one study of this process: its packs, its votes, the pictures it shows, and where its votes are kept."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from core.config import VERSION, data_dir
from core.errors import Sentence
from core.files import kept_secret
from core.study.protocol.flow import Study
from core.study.protocol.packs import Pack, find_packs
from core.study.storage.durable import DATASET_ENV, Durability
from core.study.storage.store import Store, default_store
from core.ui.server.study_pictures import Pictures

LOGGER = logging.getLogger(__name__)
STORAGE_KEY = "styleidentity-runs"
NOT_KEPT = Sentence("Votes can't be kept just now.")
PICTURE_KEY_FILE, BROWSER_KEY_FILE = "study-pictures.key", "study-browser.key"


@dataclass(frozen=True)
class OpenStudy:
    """What belongs together once the study is open."""

    study: Study
    store: Store
    packs: Mapping[str, Pack]
    pictures: Pictures
    durability: Durability


class StudyService:
    """Opens the study when it is first asked for, once. Where votes go to a dataset, that reads them back first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OpenStudy | None = None
        self._failed = False

    def open_in_background(self) -> None:
        """Open the study in a thread, so that the page is up at once."""
        threading.Thread(target=self._try_to_open, name="open-study", daemon=True).start()

    def _try_to_open(self) -> None:
        try:
            self.opened()
        except Exception:
            self._failed = True
            LOGGER.warning("the study could not be opened; its next visitor tries again", exc_info=True)

    def opened(self) -> OpenStudy:
        """Return the open study; what fails is tried again at the next call."""
        with self._lock:
            if self._open is None:
                store, packs = default_store(), find_packs()
                self._open = OpenStudy(
                    study=Study(store, packs, app_version=VERSION),
                    store=store,
                    packs=packs,
                    pictures=Pictures(packs.values(), key=kept_secret(data_dir() / PICTURE_KEY_FILE)),
                    durability=Durability.from_environment(store).start(),
                )
                self._failed = False
            return self._open

    def close(self) -> None:
        """Write what is left and forget the open study, so that the next call opens it anew."""
        with self._lock:
            if self._open is not None:
                self._open.durability.close()
            self._open = None

    def study(self) -> Study:
        """Return the study."""
        return self.opened().study

    def pictures(self) -> Pictures:
        """Return the pictures of the study's packs."""
        return self.opened().pictures

    def votes_kept(self) -> str:
        """Say in one sentence where votes are kept; empty while that is not known yet."""
        if (opened := self._open) is not None:
            return opened.durability.sentence
        return NOT_KEPT if self._failed else ""


STUDY = StudyService()


def browser_secret() -> str:
    """Return what a browser's memory of its codes is scrambled with.

    Gradio sends it to every browser, so it hides nothing from the visitor; what counts is that it stays the same. Where
    votes go to a dataset, the disk may be lost at every restart, so there it follows from the dataset's name.
    """
    dataset = os.environ.get(DATASET_ENV, "").strip()
    source = f"runs in {dataset}".encode() if dataset else kept_secret(data_dir() / BROWSER_KEY_FILE)
    return hashlib.sha256(source).hexdigest()[:32]
