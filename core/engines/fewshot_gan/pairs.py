"""Aligned pairs: sampled faces with the style's proportions, and what brushwork makes of each.

A generator that learns from a few artworks alone sees other faces than it shall draw. Here input and target show the
same face in the same place (geometric alignment as in Wang et al., real-time portrait stylization; learning from
such pairs as in Futschik et al. 2019): a sampled face is deformed towards the style, inverted, and drawn by brushwork
from one of the references.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from core.brushwork.portrait import portrait_levels
from core.brushwork.settings import PortraitSettings
from core.brushwork.synthesize import COARSEST_PX, BrushSettings
from core.engines.base import DrawOptions
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.finetune import Example
from core.engines.fewshot_gan.hand import Hand, decoded, read_sitter
from core.engines.fewshot_gan.invert import invert
from core.engines.fewshot_gan.synthesize import synthesize
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.layout import LayoutReader
from core.imaging.photo import Photo, array_to_image, to_image, to_tensor

PAIR_PX = 256  # of the drawings to learn from; a smaller backbone learns from smaller ones


def aligned_pairs(
    hand: Hand,
    count: int,
    backbone: Backbone,
    reader: LayoutReader,
    *,
    seed: int,
    person: AlignedFace | None = None,
) -> Iterator[Example | None]:
    """Make pairs one after another: codes of a deformed face, and its drawing as the picture to learn.

    Gives None between the pieces of a pair's work, some tenths of a second each, for whoever waits or wants an end.

    Args:
        hand: the references; each pair is drawn from one, in turn.
        count: of pairs.
        backbone: samples and inverts.
        reader: reads layouts.
        seed: of the sampled faces.
        person: whose own face shall be among them, as the first.
    """
    rng = torch.Generator().manual_seed(seed)
    w_plus, features = backbone.sample(rng, count)
    size_px = min(PAIR_PX, max(COARSEST_PX, backbone.resolution))
    settings = PortraitSettings(size_px=size_px, brush=BrushSettings(threads=torch.get_num_threads()))
    for row in range(len(w_plus)):
        part = slice(row, row + 1)
        drawn = synthesize(w_plus[part], None if features is None else features[part], backbone)
        face = use_as_aligned(Photo(to_image(drawn), f"face {row}"), size_px=backbone.resolution)
        if row == 0 and person is not None:
            face = person
        sitter = read_sitter(face, reader, hand, DrawOptions().shape)
        yield None
        deformed = use_as_aligned(Photo(array_to_image(sitter.pixels), face.name), size_px=backbone.resolution)
        inversion = invert(deformed, backbone)
        yield None
        drawn_levels = []
        for pixels in portrait_levels(sitter, decoded(hand.references[row % len(hand.references)]), settings):
            drawn_levels.append(pixels)
            yield None
        picture = to_tensor(array_to_image(drawn_levels[-1]), size_px=backbone.resolution)
        yield Example(picture, inversion.w_plus, inversion.features)
