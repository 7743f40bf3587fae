"""Train the embedded backbone, or go on training it: `python -m core.make_assets.pretrain`.

Needs torch, torchvision, numpy, pillow and safetensors only.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import torch

from core.engines.allocator import keep_freed_memory
from core.make_assets.pretrain import export
from core.make_assets.pretrain.data import load_faces
from core.make_assets.pretrain.train import TrainConfig, Trainer, run, write_log
from core.networks.squeezenet import WEIGHTS_FILE


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line: every field of `TrainConfig` is an option."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.pretrain", description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with images/, index.csv, landmarks68.npz")
    parser.add_argument("--oracles", dest="own_networks", type=Path, required=True, help=f"folder with {WEIGHTS_FILE}")
    parser.add_argument("--out", type=Path, required=True, help="work folder: checkpoint, log, sample sheets")
    parser.add_argument("--start-from", type=Path, metavar="FILE", help="weights to begin with, as --export writes")
    parser.add_argument("--export", type=Path, help="write the weights and the model card here at the end")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--limit", type=int, help="use only the first so many faces")
    parser.add_argument("--sheet-every", type=int, default=500, metavar="STEPS", help="steps between sample sheets")
    for field in fields(TrainConfig):
        name = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(name, type=type(field.default), default=field.default)
    parser.add_argument("--judge-every", dest="discriminator_every", type=int, help=argparse.SUPPRESS)  # its old name
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Train, log, draw sheets, export."""
    options = parse(arguments)
    config = TrainConfig(**{field.name: getattr(options, field.name) for field in fields(TrainConfig)})
    keep_freed_memory()
    options.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, options.own_networks, torch.device(options.device))
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    elif options.start_from:
        trainer.start_from(options.start_from)
    faces = load_faces(options.faces, "train", limit=options.limit)
    held_out = load_faces(options.faces, "val", limit=options.limit)
    for row in run(trainer, faces, options.out):
        write_log(options.out / "log.jsonl", row)
        print(" ".join(f"{name}={value:.4g}" for name, value in row.items()), flush=True)
        if row["step"] % options.sheet_every == 0:
            export.sample_sheet(trainer, held_out, options.out / "sheet.png")
    if options.export:
        export.export(trainer, faces, options.export)


if __name__ == "__main__":
    main(sys.argv[1:])
