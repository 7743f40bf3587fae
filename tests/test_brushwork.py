"""Guided patch synthesis, and portraits that are put together from it."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.brushwork.ground import ground_of
from core.brushwork.kernels import RADIUS, refine, vote
from core.brushwork.painted import blur_of, cleaned, combed, painted
from core.brushwork.palette import (
    ColourRamp,
    Palette,
    flatness,
    keep_lightness,
    laplacian_bands,
    lightness,
    matched_bands,
)
from core.brushwork.portrait import portrait_levels
from core.brushwork.regions import Regions, along_edges, find_regions
from core.brushwork.settings import PortraitSettings
from core.brushwork.sitter import Sitter
from core.brushwork.strands import with_strands
from core.brushwork.synthesize import BrushSettings, Reference, brush_levels
from core.config import ASSETS_DIR
from core.engines.layouts import layout_reader
from core.imaging.layout import PARTS
from core.imaging.photo import load_photo, to_array

SMALL = PortraitSettings(size_px=128, bands=3, brush=BrushSettings(threads=1))


def person(number: int) -> Sitter:
    image = load_photo(ASSETS_DIR / "examples" / f"face_{number}.png").image.resize((256, 256))
    return Sitter.of(to_array(image), layout_reader().read(image))


@pytest.fixture(scope="module")
def sitter() -> Sitter:
    return person(1)


@pytest.fixture(scope="module")
def artwork() -> Reference:
    """Another person in strong stripes of three colours: a hand that nobody mistakes."""
    other = person(2)
    rows, columns = np.mgrid[:256, :256]
    stripes = ((rows + columns) // 4 % 2)[..., None]
    grey = other.pixels.mean(2, keepdims=True)
    pixels = np.where(stripes, (0.95, 0.75, 0.2), (0.1, 0.15, 0.5)) * 0.55 + 0.45 * grey
    return Reference.of(pixels.astype(np.float32), other.layout)


def finished(sitter: Sitter, artwork: Reference, settings: PortraitSettings = SMALL) -> np.ndarray:
    *_, last = portrait_levels(sitter, artwork, settings)
    return last


def test_levels_grow_and_repeat(sitter: Sitter, artwork: Reference) -> None:
    first = list(portrait_levels(sitter, artwork, SMALL))
    assert [level.shape for level in first] == [(64, 64, 3), (128, 128, 3)]
    assert all(level.min() >= 0 and level.max() <= 1 for level in first)
    two_threads = replace(SMALL, brush=BrushSettings(threads=2))
    assert np.array_equal(first[-1], finished(sitter, artwork, two_threads)), "threads don't change a picture"


def test_another_seed_draws_other_strokes_of_the_same_person(sitter: Sitter, artwork: Reference) -> None:
    first, other, again = (
        finished(sitter, artwork, replace(SMALL, brush=replace(SMALL.brush, seed=seed))) for seed in (0, 5, 5)
    )
    assert np.array_equal(other, again)
    assert 0.002 < np.abs(first - other).mean() < 0.08 and _correlation(_blur(first), _blur(other)) > 0.9


def test_a_portrait_is_in_the_artworks_hand_and_of_the_sitter(sitter: Sitter, artwork: Reference) -> None:
    drawn = finished(sitter, artwork)
    small = {name: _down(pixels) for name, pixels in (("photo", sitter.pixels), ("art", artwork.pixels))}
    blue_yellow = [float(pixels[..., 2].std() / pixels.std()) for pixels in (small["art"], drawn, small["photo"])]
    assert abs(blue_yellow[0] - blue_yellow[1]) < abs(blue_yellow[0] - blue_yellow[2])
    face = sitter.layout.mask("face", 128) > 0.5
    like_sitter = _correlation(_blur(drawn)[face], _blur(small["photo"])[face])
    like_model = _correlation(_blur(drawn)[face], _blur(small["art"])[face])
    assert like_sitter > 0.5 and like_sitter > like_model + 0.1


def test_light_and_shade_stay_the_sitters(sitter: Sitter, artwork: Reference) -> None:
    turned = Reference.of(
        artwork.pixels[:, ::-1].copy(), replace(artwork.layout, masks=artwork.layout.masks[..., ::-1])
    )
    face = sitter.layout.mask("face", 128) > 0.5
    for hand in (artwork, turned):
        drawn = _blur(finished(sitter, hand))
        assert _correlation(drawn[face], _blur(_down(sitter.pixels))[face]) > 0.6


def test_every_pixel_comes_from_the_reference(sitter: Sitter, artwork: Reference) -> None:
    *_, level = brush_levels(
        sitter.pixels, sitter.layout, sitter.regions, artwork, size_px=64, settings=BrushSettings(threads=1)
    )
    low, high = artwork.pixels.min((0, 1)), artwork.pixels.max((0, 1))
    assert (level.pixels >= low - 1e-3).all() and (level.pixels <= high + 1e-3).all()


def test_an_unknown_size_is_refused(sitter: Sitter, artwork: Reference) -> None:
    with pytest.raises(ValueError, match="64, 128"):
        next(brush_levels(sitter.pixels, sitter.layout, sitter.regions, artwork, size_px=300))


@pytest.mark.parametrize("background", ["photo", "plain", "style"])
def test_the_background_is_what_was_asked_for(sitter: Sitter, artwork: Reference, background: str) -> None:
    drawn = finished(sitter, artwork, replace(SMALL, background=background))
    assert drawn.shape == (128, 128, 3) and np.isfinite(drawn).all()


def test_skin_keeps_the_photos_lightness(artwork: Reference) -> None:
    for number in (1, 2, 3):
        one = person(number)
        light = artwork.pixels * 0.4 + 0.6 * np.array([1.0, 0.85, 0.6])
        pale = Reference(light.astype(np.float32), artwork.layout, artwork.regions)
        skin = one.layout.mask("face", 128) > 0.6
        wanted = lightness(_down(one.pixels))[skin].mean()
        on, off = (lightness(finished(one, pale, replace(SMALL, skin_tone=share)))[skin].mean() for share in (1.0, 0.0))
        assert abs(on - wanted) < 6 and abs(on - wanted) < abs(off - wanted)


def test_dark_skin_stays_warm_after_a_pale_model_and_a_print_stays_a_print(artwork: Reference) -> None:
    one = person(1)
    dark = replace(one, pixels=(one.pixels.mean(2, keepdims=True) * (0.5, 0.3, 0.2)).astype(np.float32))
    grain = 0.1 * (artwork.pixels.mean(2, keepdims=True) - 0.5)
    bare = artwork.regions.at(256).skin[..., None] > 0.5
    skin = one.layout.mask("face", 128) > 0.6

    def tint(pixels: np.ndarray) -> np.ndarray:
        lab = cv2.cvtColor(np.ascontiguousarray(pixels, np.float32), cv2.COLOR_RGB2LAB)
        return np.asarray(lab[skin][:, 1:].mean(0))

    def drawn(pixels: np.ndarray, tone: float) -> np.ndarray:
        reference = Reference(pixels.astype(np.float32), artwork.layout, artwork.regions)
        return tint(finished(dark, reference, replace(SMALL, skin_tone=tone)))

    pale = np.where(bare, (0.95, 0.8, 0.78), (0.6, 0.6, 0.6)) + grain
    own = tint(_down(dark.pixels))
    near, far = (np.linalg.norm(drawn(pale, tone) - own) for tone in (1.0, 0.0))
    assert near < 0.6 * far
    sepia = (0.75 + grain) * (1.0, 0.9, 0.75)
    assert np.linalg.norm(drawn(sepia, 1.0) - drawn(sepia, 0.0)) < 4


def test_a_few_red_places_of_the_reference_make_no_stains(sitter: Sitter, artwork: Reference) -> None:
    calm = np.full((256, 256, 3), (0.8, 0.65, 0.5), np.float32) + 0.1 * (artwork.pixels.mean(2, keepdims=True) - 0.5)
    blotched = calm.copy()
    rows, columns = np.mgrid[:256, :256]
    blotched[(rows - 150) ** 2 + (columns - 100) ** 2 < 400] = (0.95, 0.1, 0.2)
    skin = (sitter.regions.at(128).skin > 0.9) & (_blur(np.dstack([sitter.layout.mask("lips", 128)] * 3)) < 0.02)
    strongest = []
    for pixels in (calm, blotched):
        drawn = finished(sitter, Reference(pixels, artwork.layout, artwork.regions))
        red = _blur(np.dstack([drawn[..., 0] - drawn[..., 1]] * 3))[skin]
        strongest.append(float(red.max() - np.median(red)))
    assert strongest[1] < strongest[0] + 0.15


def test_the_ground_has_nothing_of_the_references_model(sitter: Sitter, artwork: Reference) -> None:
    cover = 1 - artwork.regions.at(256).background
    pixels = np.where(cover[..., None] > 0.05, (0.05, 0.05, 0.1), (0.7, 0.8, 0.9)).astype(np.float32)
    drawn = finished(sitter, Reference(pixels, artwork.layout, artwork.regions))
    ground = drawn[sitter.regions.at(128).background > 0.98]
    assert np.abs(np.median(ground, 0) - (0.7, 0.8, 0.9)).max() < 0.05
    dark = (np.abs(ground - (0.05, 0.05, 0.1)).max(1) < 0.25).mean()
    assert dark < 0.03, "the model's hair and clothes are gone"


def test_the_ground_goes_on_with_what_is_seen_of_it(artwork: Reference) -> None:
    rows, columns = np.mgrid[:256, :256]
    checks = np.where(((rows // 8 + columns // 8) % 2)[..., None] > 0, (0.9, 0.8, 0.3), (0.2, 0.5, 0.4))
    behind = artwork.regions.at(256).background[..., None] > 0.5
    seen = Reference(np.where(behind, checks, (0.8, 0.1, 0.6)).astype(np.float32), artwork.layout, artwork.regions)
    ground = ground_of(seen, 256)
    assert (np.abs(ground - (0.8, 0.1, 0.6)).max(2) < 0.2).mean() < 0.01, "nothing of the model"
    hidden = ground[~behind[..., 0]].mean(1)
    assert hidden.std() > 0.6 * checks.mean(2).std(), "a pattern goes on as a pattern, not as its mean"
    assert np.array_equal(ground, ground_of(seen, 256))


def test_a_strip_of_ground_narrower_than_a_patch_goes_on_in_its_colour(artwork: Reference) -> None:
    behind = np.zeros((512, 512), np.float32)
    behind[:, :26] = 1  # of which the part beside the model isn't trusted
    regions = replace(artwork.regions, skin=1 - behind, hair=0 * behind, clothes=0 * behind, background=behind)
    pixels = np.where(behind[..., None] > 0, (0.2, 0.5, 0.4), (0.8, 0.1, 0.6)).astype(np.float32)
    assert np.abs(ground_of(Reference(pixels, artwork.layout, regions), 128) - (0.2, 0.5, 0.4)).max() < 0.05


def test_loose_hair_beside_the_model_is_no_ground(artwork: Reference) -> None:
    cover = 1 - artwork.regions.at(256).background[..., None]
    pixels = np.where(cover > 0.5, (0.5, 0.2, 0.1), (0.4, 0.7, 0.8))
    pixels[120:170, :24] = (0.5, 0.2, 0.1)  # a lock that the regions missed
    ground = ground_of(Reference(pixels.astype(np.float32), artwork.layout, artwork.regions), 128)
    assert (np.abs(ground - (0.5, 0.2, 0.1)).max(2) < 0.2).mean() < 0.02


def test_hair_is_combed_along_its_flow() -> None:
    rows, columns = np.mgrid[:256, :256]
    slanted = 0.4 + 0.2 * np.sin((rows + columns) / 6)[..., None] * np.ones(3)
    noisy = (slanted + np.random.default_rng(0).normal(0, 0.1, slanted.shape)).clip(0, 1).astype(np.float32)
    hair = np.zeros((256, 256), np.float32)
    hair[64:192, 64:192] = 1
    drawn = combed(noisy, hair)
    assert np.array_equal(drawn[:60], noisy[:60])
    inside = drawn[80:176, 80:176].mean(2)
    along = np.abs(inside[1:, :-1] - inside[:-1, 1:]).mean()  # down to the left: along the stripes
    across = np.abs(inside[1:, 1:] - inside[:-1, :-1]).mean()
    assert along < 0.5 * across
    assert np.array_equal(combed(noisy, np.zeros_like(hair)), noisy), "nobody has hair here"


def test_hair_is_the_references_own_turned_to_the_persons(artwork: Reference) -> None:
    rows, columns = np.mgrid[:256, :256].astype(np.float32)
    light, red = (np.ones((256, 256, 3)) * colour for colour in ((0.7, 0.6, 0.3), (0.5, 0.2, 0.1)))
    hair = ((rows > 32) & (rows < 224) & (columns > 32) & (columns < 224)).astype(np.float32)
    none = np.zeros_like(hair)
    upright = np.where((columns // 3 % 2)[..., None] > 0, light, red).astype(np.float32)  # strands that hang down
    reference = Reference(upright, artwork.layout, Regions(none, hair, none, 1 - hair))
    level = (0.45 + 0.1 * np.sin(rows / 5)[..., None] * np.ones(3)).astype(np.float32)  # and some that lie
    drawn = with_strands(level, hair, reference)
    assert np.array_equal(drawn[hair == 0], level[hair == 0])
    inside = lightness(drawn)[64:192, 64:192]
    assert np.abs(np.diff(inside, axis=0)).mean() > 3 * np.abs(np.diff(inside, axis=1)).mean(), "the strands lie"
    assert (drawn[..., 0] - drawn[..., 2])[64:192, 64:192].min() > 0.02, "in the reference's colours"
    assert not np.array_equal(drawn, with_strands(level, hair, reference, seed=1))
    hairless = Reference(upright, artwork.layout, Regions(hair, none, none, 1 - hair))
    assert np.array_equal(with_strands(level, hair, hairless), level)


def test_shadows_take_the_artists_colour() -> None:
    light = np.linspace(20, 80, 64 * 64).reshape(64, 64)
    warm = np.dstack([light, 40 - 0.4 * light, np.full_like(light, 20)])
    everywhere = np.ones((64, 64))
    grain = np.random.default_rng(0).normal(0, 4, light.shape)
    grey = np.dstack([light, grain, grain])
    wanted, own = ColourRamp.of(warm, everywhere), ColourRamp.of(grey, everywhere)
    assert wanted is not None and own is not None
    made = grey[..., 1:] + wanted.instead_of(own, grey, stray=0.5)
    assert np.abs(made - warm[..., 1:]).mean() < 2.5, "an artist whose colours don't stray"
    assert own.instead_of(own, grey, stray=1.0) == pytest.approx(0)
    assert ColourRamp.of(warm, 0 * everywhere) is None


def test_a_fringe_is_hair() -> None:
    sitter = person(2)
    hair, face = sitter.regions.at(256).hair, sitter.layout.mask("face", 256)
    colour = np.median(sitter.pixels[hair > 0.9], axis=0)
    brow = int(sitter.layout.landmarks[[105, 334], 1].mean() * 256)
    fringe = (face > 0.5) & (np.arange(256)[:, None] < brow - 8)
    assert sitter.regions.at(256).skin[fringe].mean() > 0.7
    covered = np.where(fringe[..., None], colour, sitter.pixels).astype(np.float32)
    assert find_regions(covered, sitter.layout).at(256).hair[fringe].mean() > 0.7


def test_only_a_blurred_photo_is_cleaned_and_its_eyes_drawn_anew(sitter: Sitter) -> None:
    from core.brushwork.palette import blurred, resized

    sharp, hair = resized(sitter.pixels, 512), sitter.regions.at(512).hair
    rows, columns = np.mgrid[:512, :512]
    sharp = (sharp * (0.9 + 0.1 * ((rows + columns) % 2))[..., None]).astype(np.float32)  # detail to the last pixel
    assert np.array_equal(cleaned(sharp, sitter.layout, hair, blur_of(sharp, sitter.layout)), sharp)
    soft = blurred(sharp, 4.0)
    clean, eyes = (
        cleaned(soft, sitter.layout, hair, blur_of(soft, sitter.layout)),
        sitter.layout.mask("eyes", 512) > 0.6,
    )
    assert clean[eyes].std() > 1.1 * soft[eyes].std()
    far = blurred(sitter.layout.mask("eyes", 512), 16.0) < 0.005
    assert 0 < np.abs(clean - soft)[far].mean() < 0.02


def test_edges_are_as_crisp_as_the_references(sitter: Sitter, artwork: Reference) -> None:
    soft = Sitter(_softened(sitter.pixels), sitter.layout, sitter.regions)
    sharp, dull = (
        finished(soft, Reference(pixels, artwork.layout, artwork.regions))
        for pixels in (artwork.pixels, _softened(artwork.pixels))
    )
    person_there = sitter.regions.at(128).background < 0.1
    fine = [np.abs(next(laplacian_bands(drawn, 1))[person_there]).mean() for drawn in (sharp, dull)]
    assert fine[0] > 1.5 * fine[1]


def test_the_shaded_rim_of_a_bald_head_is_no_hair() -> None:
    sitter = person(2)
    skin = np.median(sitter.pixels[sitter.layout.mask("face", sitter.pixels.shape[0]) > 0.8], axis=0)
    head = sitter.regions.at(256).background < 0.5
    rim = head & (sitter.layout.mask("hair", 256) > 0.5) & (np.arange(256) > 150)
    masks = sitter.layout.masks.copy()
    masks[PARTS.index("hair")] *= np.arange(64) > 37
    hair = {}
    for shade in (0.92, 0.15):
        pixels = np.where(head[..., None], skin, (0.2, 0.4, 0.2))
        pixels[rim] *= shade
        hair[shade] = find_regions(pixels.astype(np.float32), replace(sitter.layout, masks=masks)).hair.mean()
    assert hair[0.92] < 0.005 < 0.02 < hair[0.15]


def test_eyes_are_drawn_by_the_photos_own_light_and_shade(sitter: Sitter, artwork: Reference) -> None:
    drawn, photo = (lightness(pixels) for pixels in (finished(sitter, artwork), _down(sitter.pixels)))
    eyes = sitter.layout.mask("eyes", 128) > 0.5
    assert _correlation(drawn[eyes], photo[eyes]) > 0.8


def test_painting_takes_noise_and_leaves_edges() -> None:
    step = np.where(np.arange(64)[None, :, None] < 32, 0.3, 0.7) * np.ones((64, 64, 3))
    noisy = (step + np.random.default_rng(0).normal(0, 0.03, step.shape)).astype(np.float32)
    flat = painted(noisy, 6)
    assert np.abs(flat - step)[:, 8:28].mean() < 0.5 * np.abs(noisy - step)[:, 8:28].mean()
    assert (flat[:, 34].mean() - flat[:, 29].mean()) > 0.35


# --- palette and regions -----------------------------------------------------------------------------------


def test_bands_add_up_to_the_picture() -> None:
    pixels = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    assert np.abs(sum(laplacian_bands(pixels, 4)) - pixels).max() < 1e-5


def test_matching_a_picture_with_itself_changes_nothing() -> None:
    pixels = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    whole = [np.ones((64, 64), np.float32)]
    assert np.abs(matched_bands(pixels, whole, Palette.of(pixels, whole, bands=3)) - pixels).max() < 0.02


def test_matching_takes_the_references_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    pixels, other = (
        rng.normal(mean, spread, (64, 64, 3)).astype(np.float32) for mean, spread in ((0.5, 0.1), (0.3, 0.02))
    )
    whole = [np.ones((64, 64), np.float32)]
    made = matched_bands(pixels, whole, Palette.of(other, whole, bands=3))
    assert made.mean() == pytest.approx(0.3, abs=0.01) and made.std() == pytest.approx(0.02, abs=0.01)


def test_lightness_moves_and_black_stays() -> None:
    pixels = np.full((32, 32, 3), 0.6, np.float32)
    pixels[:4] = 0.0
    skin = np.ones((32, 32), np.float32)
    made = keep_lightness(pixels, skin, 40.0, amount=1.0)
    assert lightness(made).mean() == pytest.approx(40, abs=1.5) and made[:4].max() < 0.02
    assert np.allclose(keep_lightness(pixels, skin, 40.0, amount=0.0), pixels, atol=0.01)


def test_regions_cover_the_picture_and_find_hair_and_skin(sitter: Sitter) -> None:
    assert np.allclose(sum(sitter.regions.all()), 1, atol=1e-4)
    regions = sitter.regions.at(160)
    assert np.allclose(sum(regions.all()), 1, atol=1e-4)
    assert np.allclose(sum(regions.at(64).all()), 1, atol=1e-4)
    rows = np.arange(160)
    skin, hair = regions.skin.sum(1), regions.hair.sum(1)
    assert (rows * hair).sum() / hair.sum() < (rows * skin).sum() / skin.sum(), "hair lies above skin"
    assert regions.skin[88:100, 70:90].mean() > 0.9, "the nose is skin"
    flat = find_regions(np.full((64, 64, 3), 0.5, np.float32), sitter.layout)
    assert np.isfinite(flat.skin).all()


def test_the_person_is_cut_out_of_a_ground_of_another_colour(sitter: Sitter) -> None:
    cover = sitter.regions.at(256).background[..., None] > 0.5
    green = np.where(cover, (0.1, 0.7, 0.2), sitter.pixels).astype(np.float32)
    found = find_regions(green, sitter.layout).at(256).background
    assert (np.abs(found - cover[..., 0]) > 0.5).mean() < 0.01


def test_contrast_grows_no_further_than_allowed() -> None:
    rng = np.random.default_rng(0)
    pixels, other = (rng.normal(0.5, spread, (64, 64, 3)).clip(0, 1).astype(np.float32) for spread in (0.02, 0.2))
    whole = [np.ones((64, 64), np.float32)]
    palette = Palette.of(other, whole, bands=3)
    free, bound = (matched_bands(pixels, whole, palette, most=most) for most in (None, [2.0]))
    assert free.std() > 0.15 and bound.std() < 0.045


def test_masks_follow_the_pictures_edges() -> None:
    columns = np.arange(256)
    pixels = np.where(columns[None, :, None] < 128, 0.2, 0.8) * np.ones((256, 256, 3))
    soft = np.clip(0.5 - (columns - 128) / 12, 0, 1) * np.ones((256, 1))
    left, right = along_edges(np.stack([soft, 1 - soft]).astype(np.float32), pixels.astype(np.float32))
    assert np.allclose(left + right, 1, atol=1e-4)
    assert float(left[:, 253].mean() - left[:, 258].mean()) > 0.4, "the soft edge became the picture's"


def test_prints_are_flat_and_paintings_are_not() -> None:
    rng = np.random.default_rng(0)
    whole = np.ones((256, 256), np.float32)
    colours = rng.random((3, 3)).astype(np.float32)
    printed = np.repeat(np.repeat(colours[rng.integers(0, 3, (8, 8))], 32, 0), 32, 1)
    rows, columns = np.mgrid[:256, :256] / 255
    shaded = np.stack([rows, columns, 1 - rows], axis=-1).astype(np.float32)
    assert flatness(printed, whole) > 0.5 > 0.1 > flatness(shaded, whole)


# --- kernels -----------------------------------------------------------------------------------------------


def _problem(size: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    wide = size + 2 * RADIUS
    return {
        "field": rng.integers(0, size, (size, size, 2)).astype(np.int32),
        "target": rng.random((wide, wide * 4)).astype(np.float32),
        "guide": rng.random((size, size, 3)).astype(np.float32),
        "reference": rng.random((wide, wide * 4)).astype(np.float32),
        "own": rng.random((size, size, 3)).astype(np.float32),
        "used": np.zeros((size, size), np.float32),
    }


def _naive_cost(given: dict[str, np.ndarray], y: int, x: int, sy: int, sx: int) -> float:
    side = 2 * RADIUS + 1
    a = given["target"][y : y + side, 4 * x : 4 * (x + side)]
    b = given["reference"][sy : sy + side, 4 * sx : 4 * (sx + side)]
    return float(((a - b) ** 2).sum() + ((given["guide"][y, x] - given["own"][sy, sx]) ** 2).sum())


def test_refinement_never_worsens_and_tells_the_true_cost() -> None:
    given = _problem()
    out, cost = np.empty_like(given["field"]), np.empty((12, 12), np.float32)
    refine(given["field"], out, cost, *(given[k] for k in ("target", "guide", "reference", "own", "used")), 2, 0, 12)
    for y, x in ((0, 0), (5, 7), (11, 11)):
        before = _naive_cost(given, y, x, *given["field"][y, x])
        assert cost[y, x] == pytest.approx(_naive_cost(given, y, x, *out[y, x]), rel=1e-4)
        assert cost[y, x] <= before + 1e-4
        window = [
            _naive_cost(given, y, x, sy, sx)
            for sy in range(max(0, given["field"][y, x, 0] - 2), min(12, given["field"][y, x, 0] + 3))
            for sx in range(max(0, given["field"][y, x, 1] - 2), min(12, given["field"][y, x, 1] + 3))
        ]
        assert cost[y, x] <= before + 1e-4 and min(window) <= before


def test_a_straight_field_copies_the_reference() -> None:
    picture = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
    rows, columns = np.mgrid[:16, :16]
    field, out = np.stack([rows, columns], -1).astype(np.int32), np.empty_like(picture)
    vote(field, np.ones((16, 16), np.float32), picture, out, RADIUS, 0, 16)
    assert np.abs(out - picture).max() < 1e-5


def test_two_threads_draw_at_once(sitter: Sitter, artwork: Reference) -> None:
    alone, drawn = finished(sitter, artwork), {}

    def work(number: int) -> None:
        drawn[number] = finished(sitter, artwork, replace(SMALL, brush=BrushSettings(threads=2)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(drawn[number], alone) for number in range(2))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_kernels_work_in_a_forked_process() -> None:
    """ZeroGPU's workers are forks of a process that may have drawn before."""
    program = """
import os, numpy as np
from core.brushwork.kernels import vote
from core.threads import in_rows
def draw():
    picture = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    rows, columns = np.mgrid[:32, :32]
    field, out = np.stack([rows, columns], -1).astype(np.int32), np.empty_like(picture)
    in_rows(lambda a, b: vote(field, np.ones((32, 32), np.float32), picture, out, 1, a, b), 32, 2)
    return np.abs(out - picture).max()
assert draw() < 1e-5
child = os.fork()
if child == 0:
    os._exit(0 if draw() < 1e-5 else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)


def _down(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(128, pixels.shape[0] // 128, 128, -1, 3).mean((1, 3))


def _blur(pixels: np.ndarray) -> np.ndarray:
    from core.brushwork.palette import blurred

    return blurred(pixels.mean(2).astype(np.float32), 3.0)


def _softened(pixels: np.ndarray) -> np.ndarray:
    from core.brushwork.palette import blurred

    return blurred(pixels.astype(np.float32), pixels.shape[0] / 128)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
