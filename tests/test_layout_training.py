"""Training of the layout network: what a batch shows, and which labels count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core.config import ASSETS_DIR
from core.engines.layouts import layout_reader
from core.imaging.layout import PARTS
from core.imaging.photo import load_photo, to_tensor
from core.make_assets.layout.data import LabelledFaces, draw_batch, mirror_of
from core.make_assets.layout.train import loss_of
from core.networks.layout import LayoutOutput


@pytest.fixture(scope="module")
def faces() -> LabelledFaces:
    """Three invented people, labelled by the embedded network."""
    crops = [load_photo(ASSETS_DIR / "examples" / f"face_{number}.png").image for number in (1, 2, 3)]
    said = layout_reader().read_all(crops)
    masks = torch.stack([torch.from_numpy(layout.masks) for layout in said])
    return LabelledFaces(
        torch.cat([((to_tensor(crop, size_px=256) + 1) * 127.5).to(torch.uint8) for crop in crops]),
        torch.stack([torch.from_numpy(layout.landmarks) for layout in said]),
        (torch.nn.functional.interpolate(masks, scale_factor=2) * 255).to(torch.uint8),
        torch.tensor([True, True, True]),
    )


def test_a_batch_repeats_and_known_people_change_clothes(faces: LabelledFaces) -> None:
    mirror = mirror_of(faces.landmarks)

    def drawn(given: LabelledFaces) -> torch.Tensor:
        return draw_batch(given, mirror, 8, torch.Generator().manual_seed(3)).pictures

    first, again = drawn(faces), drawn(faces)
    assert first.shape == (8, 3, 256, 256) and first.abs().max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, drawn(replace(faces, trusted=torch.zeros(3, dtype=torch.bool))))


def test_doubtful_people_and_hair_hardly_count(faces: LabelledFaces) -> None:
    batch = draw_batch(faces, mirror_of(faces.landmarks), 6, torch.Generator().manual_seed(1))
    right = (batch.masks.clamp(0.01, 0.99)).logit()
    wrong = right.clone()
    for part in ("person", "hair"):
        wrong[:, PARTS.index(part)] *= -1
    cost = {}
    for trusted in (True, False):
        given = replace(batch, trusted=torch.full((6,), trusted))
        good, bad = (
            loss_of(LayoutOutput(batch.landmarks, masks, batch.presence * 9, (batch.landmarks,)), given)
            for masks in (right, wrong)
        )
        cost[trusted] = float(bad - good)
    assert 0 < cost[False] < 0.15 * cost[True]
