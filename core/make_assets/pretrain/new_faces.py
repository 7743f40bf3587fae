"""Invent the shipped faces anew for weights that are there already: `python -m core.make_assets.pretrain.new_faces`.

Needs torch, torchvision, numpy, pillow and safetensors only. Styles and packs drawn from the old faces stay valid;
`core.make_assets.gallery` and `core.make_assets.packs` draw them anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from core.make_assets.pretrain.data import load_faces
from core.make_assets.pretrain.export import PEOPLE, PEOPLE_SEED, WEIGHTS_FILE
from core.make_assets.pretrain.people import morph, write_people
from core.networks.checkpoints import load_into, pick_prefixed
from core.networks.mini import MiniEncoder, MiniGenerator
from core.networks.ops import channels_last
from core.weights.load import load_embedded, write_manifest


def main(arguments: list[str]) -> None:
    """Read weights and training faces, write `faces.safetensors` and the manifest."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.pretrain.new_faces", description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with images/, index.csv, landmarks68.npz")
    parser.add_argument("--assets", type=Path, default=Path("assets") / "mini", help="folder with the weights")
    parser.add_argument("--count", type=int, default=PEOPLE)
    parser.add_argument("--seed", type=int, default=PEOPLE_SEED)
    options = parser.parse_args(arguments)
    tensors = load_embedded(options.assets / WEIGHTS_FILE)
    generator = MiniGenerator()
    encoder = MiniEncoder(generator.resolution, generator.n_latent)
    for part, network in (("generator", generator), ("encoder", encoder)):
        load_into(channels_last(network), pick_prefixed(tensors, part), source=WEIGHTS_FILE)
    faces = load_faces(options.faces, "train")
    made = morph(encoder, generator, faces, count=options.count, seed=options.seed, dtype=torch.bfloat16)
    write_people(options.assets, *made)
    write_manifest(options.assets)


if __name__ == "__main__":
    main(sys.argv[1:])
