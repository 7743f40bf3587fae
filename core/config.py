"""Settings as frozen dataclasses, units in their names, and the paths and environment names of the project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from platformdirs import user_data_path

ASSETS_DIR = Path(__file__).resolve().parent.parent / "assets"
DATA_ENV = "STYLEIDENTITY_DATA"
ENGINE_ENV = "STYLEIDENTITY_ENGINE"
BACKBONE_ENV = "STYLEIDENTITY_BACKBONE"

VERSION = "1.0.0"
LIMIT_ENV = "STYLEIDENTITY_LIMIT_"  # followed by a field of DemoLimits in capitals

MAX_REFERENCES = 14  # StyleIdentityGAN trains on groups of 1, 2, 7 and 14


@dataclass(frozen=True)
class Arm:
    """One of the ways to make a style that are compared.

    Attributes:
        id: in packs, votes and file names.
        title: for readers.
        method: training method.
        few: trains on all references; on the first one otherwise.
    """

    id: str
    title: str
    method: str
    few: bool


PAPER_ARMS: tuple[Arm, ...] = (
    Arm("jojogan-one", "JoJoGAN, one-shot", "jojogan", few=False),
    Arm("jojogan-few", "JoJoGAN, few-shot", "jojogan", few=True),
    Arm("ours-one", "Ours, one-shot", "paper", few=False),
    Arm("ours-few", "Ours, few-shot", "paper", few=True),
)


def data_dir() -> Path:
    """Folder for caches and votes: `$STYLEIDENTITY_DATA`, else the platform's user data folder. Not created here."""
    chosen = os.environ.get(DATA_ENV)
    return Path(chosen).expanduser() if chosen else user_data_path("styleidentity")


@dataclass(frozen=True)
class PhotoLimits:
    """What an upload may be.

    Attributes:
        max_bytes: encoded size.
        max_megapixels: decoded size; checked before decoding.
        max_side_px: longer pictures are reduced to this side, since the face crop never needs more.
        min_side_px: shorter pictures are refused.
    """

    max_bytes: int = 30_000_000
    max_megapixels: float = 80.0
    max_side_px: int = 4096
    min_side_px: int = 64


@dataclass(frozen=True)
class DemoLimits:
    """What the public page takes from strangers; `$STYLEIDENTITY_LIMIT_<FIELD>` changes one (`demo_limits`).

    Attributes:
        upload_bytes: one uploaded file; a style file of the full-size model has 60 MB.
        request_bytes: one upload request with all its files.
        payload_bytes: the values of one event, without files.
        photo_bytes, photo_megapixels: one photo or style picture.
        photos: photos drawn in one go.
        references: style pictures of one training run.
        steps: steps of one training run.
        pictures: steps x pictures per step of one training run, which decides how long others wait for it.
        accelerator_s: longest time on a shared accelerator that one training run may ask for.
        styles: styles of one visitor's own.
        jobs: drawings and training runs that one visitor may have waiting or running.
        waiting: events of all visitors that may wait.
        visitors: visitors whose state is kept in memory; the one idle for longest goes first.
        free_disk_bytes: uploads are refused below this much free space.
    """

    upload_bytes: int = 150_000_000
    request_bytes: int = 400_000_000
    payload_bytes: int = 2_000_000
    photo_bytes: int = 30_000_000
    photo_megapixels: int = 80
    photos: int = 24
    references: int = MAX_REFERENCES
    steps: int = 1000
    pictures: int = 8000
    accelerator_s: int = 300
    styles: int = 12
    jobs: int = 4
    waiting: int = 120
    visitors: int = 400
    free_disk_bytes: int = 500_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"DemoLimits needs {field.name} >= 1, got {getattr(self, field.name)}")
        if self.references > MAX_REFERENCES:
            raise ValueError(f"DemoLimits needs references <= {MAX_REFERENCES}, got {self.references}")

    @property
    def photo(self) -> PhotoLimits:
        """The limits of one photo."""
        return PhotoLimits(max_bytes=self.photo_bytes, max_megapixels=float(self.photo_megapixels))


def demo_limits(environment: Mapping[str, str] | None = None) -> DemoLimits:
    """The limits that the environment asks for, the default where it names none.

    Raises `ValueError` for a value that is no whole number, for one out of range, and for an unknown limit.
    """
    names = {field.name for field in fields(DemoLimits)}
    given: dict[str, int] = {}
    for variable, text in (os.environ if environment is None else environment).items():
        if not variable.startswith(LIMIT_ENV):
            continue
        name = variable.removeprefix(LIMIT_ENV).lower()
        if name not in names:
            raise ValueError(f"{variable} names no limit; there are {', '.join(sorted(names))}")
        try:
            given[name] = int(text)
        except ValueError as error:
            raise ValueError(f"{variable} must be a whole number, got {text!r}") from error
    return DemoLimits(**given)
