"""The numbers of one drawing: the person, the style at two sizes, its bands, the face's place, and the skin."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from core.engines.fewshot_gan.measure.networks import LOSS_NOTE
from core.engines.layouts import layout_reader
from core.evaluate.hand.subjects import LARGE_PX, Artist, Person
from core.evaluate.metric_networks import MetricNetworks
from core.imaging.photo import to_tensor
from core.metrics.crops import SIDE_PX, at_side, rgb
from core.metrics.landmarks import landmark_distance
from core.metrics.patches import PROTOCOL as PATCHES_PROTOCOL
from core.metrics.patches import share_left
from core.metrics.skin import FACE_SHARE, face_lightness
from core.metrics.skin import PROTOCOL as SKIN_PROTOCOL


@dataclass(frozen=True)
class HandScores:
    """One drawing's numbers.

    Attributes:
        identity: to the photo, at 256 px.
        style_256, style_512: distances to the artist's works, drawing and works brought to that side.
        bands: patch distance to the works at 512 px.
        bands_share: of the photo's own distance; None where that is 0.
        landmarks: how far the face's parts moved, in distances of the outer eye corners.
        lightness: mean L* of the drawing's face; None where no face is seen.
        skin_change: that minus the photo's: more than 0 is lighter.
    """

    identity: float
    style_256: float
    style_512: float
    bands: float
    bands_share: float | None
    landmarks: float
    lightness: float | None
    skin_change: float | None


def photo_bands(person: Person, artist: Artist) -> float:
    """Measure a photo's own patch distance to an artist's works, at 512 px."""
    return artist.large.patch_distance(to_tensor(at_side(person.face.image, LARGE_PX)))


def score_portrait(
    drawing: Image.Image, person: Person, artist: Artist, networks: MetricNetworks, *, of_photo: float
) -> HandScores:
    """Measure one drawing.

    Args:
        drawing: square RGB of any size, in the crop's frame.
        person, artist: whom it shows, and in whose style.
        networks: measure.
        of_photo: from `photo_bands`.
    """
    small, large = at_side(drawing), to_tensor(at_side(drawing, LARGE_PX))
    layout, bands = layout_reader().read(drawing), artist.large.patch_distance(large)
    light = face_lightness(rgb(small), layout.mask("face", SIDE_PX))
    return HandScores(
        identity=networks.identity(person.image, small, person.eyes),
        style_256=artist.small.style_distance(to_tensor(small)),
        style_512=artist.large.style_distance(large),
        bands=bands,
        bands_share=share_left(bands, of_photo) if of_photo > 0 else None,
        landmarks=landmark_distance(person.layout.landmarks68(SIDE_PX), layout.landmarks68(SIDE_PX)),
        lightness=light,
        skin_change=None if light is None or person.lightness is None else light - person.lightness,
    )


def notes(networks: MetricNetworks) -> tuple[str, ...]:
    """Say what a reader must know of the networks that measured; others load beside them and measure nothing here."""
    by_discriminator = "mini" in networks.protocols["style"]
    return tuple(note for note in networks.notes if note != LOSS_NOTE or by_discriminator)


def protocols(networks: MetricNetworks) -> dict[str, str]:
    """Say what every number is, by measure."""
    style = networks.protocols["style"]
    return {
        "identity": f"{networks.protocols['identity']}, 256 px",
        "style_256": f"{style}, mean over the style's artworks, 256 px",
        "style_512": f"{style}, mean over the style's artworks, {LARGE_PX} px",
        "bands": f"{PATCHES_PROTOCOL}, {LARGE_PX} px",
        "bands_share": "bands over the photo's own distance to the same artworks",
        "landmarks": "landmarks68_interocular, the layout network on photo and drawing",
        "skin": f"{SKIN_PROTOCOL}, layout mask 'face' above {FACE_SHARE:g} of each picture, drawing minus photo",
    }
