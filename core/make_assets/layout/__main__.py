"""Train the layout network, or go on training it: `python -m core.make_assets.layout`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from core.config import ASSETS_DIR
from core.engines.allocator import keep_freed_memory
from core.make_assets.layout.data import label_faces
from core.make_assets.layout.train import TrainConfig, Trainer, export, run
from core.make_assets.pretrain.train import write_log


def main(arguments: list[str]) -> None:
    """Label once, train, log, export."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.layout", description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with images/ and index.csv")
    parser.add_argument("--teachers", type=Path, required=True, help="folder with the two .tflite files")
    parser.add_argument("--out", type=Path, required=True, help="work folder: labels, checkpoint, log")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long; the next call goes on")
    parser.add_argument("--export", type=Path, nargs="?", const=ASSETS_DIR / "layout", help="write the weights here")
    for field in fields(TrainConfig):
        parser.add_argument("--" + field.name.replace("_", "-"), type=type(field.default), default=field.default)
    options = parser.parse_args(arguments)
    config = TrainConfig(**{field.name: getattr(options, field.name) for field in fields(TrainConfig)})
    keep_freed_memory()
    options.out.mkdir(parents=True, exist_ok=True)
    faces = label_faces(options.faces, options.teachers, options.out, "train")
    held_out = label_faces(options.faces, options.teachers, options.out, "val")
    trainer = Trainer(config, faces)
    if (options.out / "checkpoint.pt").exists():
        trainer.load(options.out / "checkpoint.pt")
    for row in run(trainer, held_out, options.out, options.minutes):
        write_log(options.out / "log.jsonl", row)
        print(" ".join(f"{name}={value:.4g}" for name, value in row.items()), flush=True)
    if options.export:
        export(trainer.kept, options.export)


if __name__ == "__main__":
    main(sys.argv[1:])
