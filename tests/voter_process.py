"""Votes in a loop and prints each vote once it was acknowledged, until it is killed: `voter_process.py STORE PACK`."""

from __future__ import annotations

import sys
from pathlib import Path

from core.study.protocol import codes
from core.study.protocol.flow import CONSENT_VERSION, Study
from core.study.protocol.packs import load_pack
from core.study.storage.store import Store


def main(store: Path, folder: Path) -> None:
    """One run after the other; every line is "participant place choice"."""
    pack = load_pack(folder)
    study = Study(Store(store), {pack.slug: pack}, app_version="test")
    while True:
        code = study.begin(pack.slug, group="viewer", consent_version=CONSENT_VERSION)
        screen = study.screen(code)
        while screen.kind != "review":
            letter = screen.check_label or "ABCD"[screen.number % 4]
            acknowledged = f"{codes.participant_id(code)} {screen.number} {letter}"
            was_trial = screen.kind == "trial"
            screen = study.choose(code, screen.ticket, letter, 2000)
            if was_trial:
                print(acknowledged, flush=True)
        study.finish(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
