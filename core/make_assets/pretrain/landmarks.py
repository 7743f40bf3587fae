"""Train the embedded 68-point landmark predictor (`assets/mini/landmarks68.dat`) with dlib.

Method: Kazemi and Sullivan 2014, "One Millisecond Face Alignment with an Ensemble of Regression Trees", in dlib's
implementation. The training pictures are FFHQ crops, which is not what the predictor meets in the app, so every face is
shown upright as well as mirrored, turned, resized and redrawn (grey levels stretched, blurred, or hatched like an
engraving), and the start boxes are the ones that dlib's own frontal detector gives on those very pictures.

Run: `python -m core.make_assets.pretrain.landmarks --faces DIR --out FILE`, where DIR holds `images/`, `index.csv`
(columns `file`, `split`) and `landmarks68.npz` (`files`, `points` [N, 68, 2]). A JSON note with the settings and the
error on the split `val` is written beside FILE.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import dlib
import numpy as np
from PIL import Image, ImageFilter, ImageOps

from core.files import replacing, write_atomically
from core.imaging.geometry import Box

# Where each of the 68 points lands when the face is mirrored: jaw, brows, nose, eyes, lips.
MIRRORED = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1)),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65),
    ]
)


@dataclass(frozen=True)
class LandmarkConfig:
    """Settings of one run. About 12 * 60 trees of depth 3 make a file of 5 MB.

    Attributes:
        cascade_depth, trees_per_level, tree_depth: size of the predictor.
        oversampling: start shapes per picture.
        box_jitter: random shift of the start boxes, as a share of their side.
        learning_rate: shrinkage of each tree (`nu`).
        feature_pool_size: grey-level samples per cascade level.
        test_splits: random splits tried per tree node.
        threads: CPU threads.
        seed: of the variants and of the trees.
    """

    cascade_depth: int = 12
    trees_per_level: int = 60
    tree_depth: int = 3
    oversampling: int = 10
    box_jitter: float = 0.06
    learning_rate: float = 0.1
    feature_pool_size: int = 400
    test_splits: int = 20
    threads: int = 2
    seed: int = 0

    def to_dlib(self) -> dlib.shape_predictor_training_options:
        """Return the same settings as dlib's options object."""
        options = dlib.shape_predictor_training_options()
        options.cascade_depth = self.cascade_depth
        options.num_trees_per_cascade_level = self.trees_per_level
        options.tree_depth = self.tree_depth
        options.oversampling_amount = self.oversampling
        options.oversampling_translation_jitter = self.box_jitter
        options.nu = self.learning_rate
        options.feature_pool_size = self.feature_pool_size
        options.num_test_splits = self.test_splits
        options.num_threads = self.threads
        options.random_seed = str(self.seed)
        return options


@dataclass(frozen=True)
class Sample:
    """One training picture.

    Attributes:
        grey: uint8 [H, W].
        points: [68, 2] in its pixels.
        box: where the predictor starts.
    """

    grey: np.ndarray
    points: np.ndarray
    box: Box


def read_faces(folder: Path, split: str) -> list[tuple[Path, np.ndarray]]:
    """List paths and landmarks [68, 2] (float64, crop pixels) of one split, in the index's order."""
    stored = np.load(folder / "landmarks68.npz", allow_pickle=False)
    points = dict(zip(stored["files"].tolist(), stored["points"].astype(np.float64), strict=True))
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == split]
    return [(folder / "images" / name, points[name]) for name in names if name in points]


def eye_distance(points: np.ndarray) -> float:
    """Measure the distance between the two eyes' centres of `points` [68, 2], in pixels."""
    return float(np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0)))


def move(image: Image.Image, points: np.ndarray, *, degrees: float, scale: float) -> tuple[Image.Image, np.ndarray]:
    """Turn and resize a grey crop and its points about the crop's centre; the border is mirrored."""
    size = image.width
    pad = size // 2
    padded = Image.fromarray(np.pad(np.asarray(image), pad, mode="reflect"))
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.full(2, (size - 1) / 2)
    back = turn.T / scale  # output pixel -> input pixel, as PIL wants it (pixel centres lie at + 0.5)
    shift = centre + pad + 0.5 - back @ (centre + 0.5)
    data = (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1])
    moved = padded.transform((size, size), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return moved, (points - centre) @ (scale * turn).T + centre


def hatch(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Redraw grey levels [H, W] in 0..255 as parallel ink lines whose width follows the darkness."""
    height, width = grey.shape
    y, x = np.mgrid[0:height, 0:width]
    angle, period = rng.uniform(0, np.pi), rng.uniform(3.0, 5.5)
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    ink = 1 / (1 + np.exp(-12 * (wave - grey / 255.0)))
    paper: np.ndarray = 255.0 * (1 - ink)
    return paper


def redraw(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Change how a grey crop is drawn, not its geometry: tone, sharpness, grain, or an engraving's lines."""
    kind = rng.random()
    if kind < 0.2:
        image = ImageOps.equalize(image)
    elif kind < 0.35:
        image = image.filter(ImageFilter.ModeFilter(5))
    elif kind < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.0)))
    grey = np.asarray(image, dtype=np.float64)
    grey = 255.0 * (grey / 255.0) ** np.exp(rng.uniform(-0.5, 0.5))
    if kind > 0.85:
        grey = hatch(grey, rng) * 0.7 + grey * 0.3
    grey = (grey - 127.5) * rng.uniform(0.6, 1.2) + 127.5 + rng.uniform(-20, 20)
    grey += rng.normal(0.0, rng.uniform(0, 8), grey.shape)
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def variants(image: Image.Image, points: np.ndarray, rng: np.random.Generator) -> list[tuple[Image.Image, np.ndarray]]:
    """Make three pictures of one face, grey [256, 256] with points: nearly upright, mirrored, and turned further.

    Most are upright since `core.imaging.faces` asks the predictor again on an upright crop.
    """
    mirrored = (points * [-1, 1] + [image.width - 1, 0])[MIRRORED]
    both = [(image, points), (ImageOps.mirror(image), mirrored)]
    out = []
    for picture, shape in both:
        moved = move(picture, shape, degrees=float(rng.normal(0, 4)), scale=float(rng.uniform(0.92, 1.08)))
        out.append((redraw(moved[0], rng), moved[1]) if rng.random() < 0.4 else moved)
    turned = move(*both[rng.integers(2)], degrees=float(rng.uniform(-25, 25)), scale=float(rng.uniform(0.75, 1.1)))
    return [*out, (redraw(turned[0], rng), turned[1])]


def box_of(points: np.ndarray, offset: np.ndarray) -> Box:
    """Place a square start box by landmarks; `offset` [3] is (dx, dy, side) in units of the landmarks' spread."""
    spread = float(np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean()))
    cx, cy = points.mean(0) + offset[:2] * spread
    half = offset[2] * spread / 2
    return round(cx - half), round(cy - half), round(cx + half), round(cy + half)


def offset_of(points: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """Undo `box_of`: (dx, dy, side) [3] of a box relative to the landmarks."""
    spread = float(np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean()))
    centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    return np.array([*(centre - points.mean(0)), (box[2] - box[0] + box[3] - box[1]) / 2]) / spread


def detect(grey: np.ndarray, points: np.ndarray, detector: dlib.fhog_object_detector) -> np.ndarray | None:
    """Return the offset [3] of the detector's box that fits the face best, or None where it finds none."""
    found = [offset_of(points, (b.left(), b.top(), b.right(), b.bottom())) for b in detector(grey, 0)]
    near = [offset for offset in found if np.abs(offset[:2]).max() < 1 and 1.5 < offset[2] < 5]
    return min(near, key=lambda offset: float(np.hypot(*offset[:2])), default=None)


def make_samples(faces: Iterable[tuple[Path, np.ndarray]], *, seed: int) -> list[Sample]:
    """Make pictures with start boxes: the detector's where it finds the face, else like those it found."""
    rng = np.random.default_rng(seed)
    detector = dlib.get_frontal_face_detector()
    drawn: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
    for path, points in faces:
        with Image.open(path) as file:
            image = file.convert("L")
        for picture, moved in variants(image, points, rng):
            grey = np.asarray(picture)
            drawn.append((grey, moved, detect(grey, moved, detector)))
    found = np.array([offset for _, _, offset in drawn if offset is not None])
    if len(found) < 2:
        raise ValueError(f"need at least 2 detected faces to learn the boxes, got {len(found)} of {len(drawn)}")
    mean, spread = found.mean(0), found.std(0)
    return [
        Sample(grey, points, box_of(points, mean + rng.normal(size=3) * spread if offset is None else offset))
        for grey, points, offset in drawn
    ]


def train(samples: Sequence[Sample], config: LandmarkConfig) -> dlib.shape_predictor:
    """Fit the cascade to the samples; same samples and config, same predictor.

    dlib 20.0 gives numpy's uint8 type back once too often per picture; numpy prints "Reference count error"
    and goes on.
    """
    shapes = []
    for sample in samples:
        parts = [dlib.point(round(float(x)), round(float(y))) for x, y in sample.points]
        shapes.append([dlib.full_object_detection(dlib.rectangle(*sample.box), parts)])
    return dlib.train_shape_predictor([sample.grey for sample in samples], shapes, config.to_dlib())


def mean_error(predictor: dlib.shape_predictor, samples: Sequence[Sample]) -> float:
    """Average the distance of predicted from given points in % of the eye distance, over all points and samples."""
    errors = []
    for sample in samples:
        shape = predictor(sample.grey, dlib.rectangle(*sample.box))
        guess = np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)
        errors.append(np.linalg.norm(guess - sample.points, axis=1).mean() / eye_distance(sample.points))
    return 100.0 * float(np.mean(errors))


@dataclass(frozen=True)
class LandmarkNote:
    """What is written beside a predictor: how it was made, and how far it errs."""

    what: str
    data: str
    samples: int
    config: LandmarkConfig
    dlib: str
    val_error_percent_of_eye_distance: dict[str, float]
    seconds: int

    def as_json(self) -> str:
        """Write all of it as a JSON object."""
        return json.dumps(asdict(self), indent=2)


def run(faces: Path, out: Path, config: LandmarkConfig, *, limit: int | None = None) -> LandmarkNote:
    """Train on `train`, measure on `val`, write `out` and `out` with the suffix `.json`; return the note."""
    started = time.monotonic()
    samples = make_samples(read_faces(faces, "train")[:limit], seed=config.seed)
    predictor = train(samples, config)
    checks = make_samples(read_faces(faces, "val")[:limit], seed=config.seed + 1)
    note = LandmarkNote(
        what="dlib 68-point shape predictor trained by core.make_assets.pretrain.landmarks",
        data="faces/landmarks68.npz, split train; sources and licences in the embedded weights' provenance",
        samples=len(samples),
        config=config,
        dlib=dlib.__version__,
        val_error_percent_of_eye_distance={
            "upright": round(mean_error(predictor, [*checks[0::3], *checks[1::3]]), 3),
            "turned_and_redrawn": round(mean_error(predictor, checks[2::3]), 3),
        },
        seconds=round(time.monotonic() - started),
    )
    with replacing(out) as part:
        predictor.save(str(part))
    write_atomically(out.with_suffix(".json"), note.as_json() + "\n")
    return note


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: options of `LandmarkConfig` that matter for time and size."""
    default = LandmarkConfig()
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.pretrain.landmarks", description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with images/, index.csv and landmarks68.npz")
    parser.add_argument("--out", type=Path, required=True, help="the .dat file to write")
    parser.add_argument("--limit", type=int, default=None, help="use only the first faces of each split")
    parser.add_argument("--cascade-depth", type=int, default=default.cascade_depth)
    parser.add_argument("--trees-per-level", type=int, default=default.trees_per_level)
    parser.add_argument("--tree-depth", type=int, default=default.tree_depth)
    parser.add_argument("--oversampling", type=int, default=default.oversampling)
    parser.add_argument("--threads", type=int, default=default.threads)
    parser.add_argument("--seed", type=int, default=default.seed)
    options = vars(parser.parse_args(arguments))
    faces, out, limit = (options.pop(key) for key in ("faces", "out", "limit"))
    print(run(faces, out, LandmarkConfig(**options), limit=limit).as_json())


if __name__ == "__main__":
    main()
