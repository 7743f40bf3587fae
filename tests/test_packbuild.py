"""Study packs rendered with a small backbone: what they hold, and what they keep to themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import ASSETS_DIR, PAPER_ARMS
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.style_file import config_values
from core.errors import PicturesUnusable, TooManyReferences
from core.evaluate.train_arms import arm_config, train_arm
from core.imaging.align import AlignedFace
from core.make_assets.gallery.draw import PACK_FACES
from core.make_assets.packs.build import PackPlan, build_pack, check_reference_folders, faces_in
from core.make_assets.packs.shipped import COMPARED_LIVE, PHOTO_FACES, PLANS
from core.progress import Progress
from core.studio import Studio
from core.study.protocol.packs import Pack, load_pack
from tests.tiny_backbone import SIDE_PX, as_face, drawings, sampled_pictures, tiny_studio

ARMS = tuple(arm.id for arm in PAPER_ARMS)
PLAN = PackPlan("hatching", "Hatched portraits", ARMS, preset="sketch", steps=2, seed=3)


@pytest.fixture(scope="module")
def studio(tiny: Backbone) -> Studio:
    return tiny_studio(tiny)


@pytest.fixture(scope="module")
def photos(tiny: Backbone) -> list[AlignedFace]:
    return [as_face(picture[None]) for picture in sampled_pictures(tiny, 3)]


@pytest.fixture(scope="module")
def groups(tiny: Backbone) -> list[list[AlignedFace]]:
    """Two groups of two artworks."""
    made = [as_face(picture, f"art {i}") for i, picture in enumerate(drawings(tiny, 4))]
    return [made[:2], made[2:]]


@pytest.fixture(scope="module")
def heard() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packs")


@pytest.fixture(scope="module")
def pack(
    studio: Studio,
    photos: list[AlignedFace],
    groups: list[list[AlignedFace]],
    heard: list[Progress],
    folder: Path,
) -> Pack:
    return build_pack(
        studio,
        photos,
        groups,
        PLAN,
        folder / "hatching",
        keep_styles=folder / "arms",
        on_progress=heard.append,
    )


def pixels(picture: Path | Image.Image) -> np.ndarray:
    image = Image.open(picture) if isinstance(picture, Path) else picture
    return np.asarray(image.convert("RGB"))


def test_every_photo_becomes_a_trial_with_all_arms(pack: Pack, photos: list[AlignedFace], folder: Path) -> None:
    assert load_pack(folder / "hatching").digest == pack.digest
    assert pack.arms == ARMS and len(pack.trials) == 3
    for face, trial in zip(photos, pack.trials, strict=True):
        assert np.array_equal(pixels(trial.photo), pixels(face.image))
        assert set(trial.candidates) == set(ARMS) and len(trial.references) == 2
        assert all(pixels(path).shape == (SIDE_PX, SIDE_PX, 3) for path in trial.candidates.values())
        drawn = [pixels(path).tobytes() for path in trial.candidates.values()]
        assert len(set(drawn)) == len(ARMS), "every arm drew its own picture"


def test_trials_take_turns_with_the_groups(pack: Pack, groups: list[list[AlignedFace]]) -> None:
    for number, trial in enumerate(pack.trials):
        for path, face in zip(trial.references, groups[number % 2], strict=True):
            assert np.array_equal(pixels(path), pixels(face.image))


def test_candidates_are_what_the_arms_draw(
    pack: Pack, studio: Studio, photos: list[AlignedFace], groups: list[list[AlignedFace]]
) -> None:
    for arm in PAPER_ARMS:
        style = train_arm(studio, arm, groups[1], preset="sketch", seed=3, steps=2)
        wanted = studio.stylize(photos[1], style).image
        assert np.array_equal(pixels(pack.trials[1].candidates[arm.id]), pixels(wanted))


def test_styles_of_the_first_group_are_kept(
    pack: Pack, studio: Studio, photos: list[AlignedFace], folder: Path
) -> None:
    for arm in ARMS:
        style = studio.load_style(folder / "arms" / f"{arm}.safetensors")
        wanted = pixels(pack.trials[0].candidates[arm]).astype(int)
        assert np.abs(pixels(studio.stylize(photos[0], style).image) - wanted).mean() < 2, "kept in half precision"


def test_progress_names_no_arm(pack: Pack, heard: list[Progress]) -> None:
    heard_of = {progress.what for progress in heard}
    assert {"training 1 of 8", "training 8 of 8", "drawing"} <= heard_of
    assert not any(name in what for what in heard_of for name in ("ours", "jojogan", "one", "few"))
    assert all(0 <= progress.done <= progress.of for progress in heard)


def test_the_pack_says_how_it_was_made(pack: Pack) -> None:
    made = dict(pack.provenance)
    assert made["preset"] == "sketch" and made["steps"] == 2 and made["seed"] == 3
    assert made["references_per_group"] == [2, 2] and made["backbone"] == "mini"


def test_bad_plans_are_refused(
    studio: Studio, photos: list[AlignedFace], groups: list[list[AlignedFace]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="two to four"):
        build_pack(studio, photos, groups, PackPlan("a", "A", ("ours-few",)), tmp_path / "new")
    with pytest.raises(ValueError, match="got 0 and 2"):
        build_pack(studio, [], groups, PLAN, tmp_path / "new")
    steps: list[Progress] = []
    with pytest.raises(TooManyReferences):
        build_pack(studio, photos, [groups[0], groups[0] * 8], PLAN, tmp_path / "new", on_progress=steps.append)
    assert not steps, "nothing was trained"


def test_a_folder_of_faces(studio: Studio, photos: list[AlignedFace], tmp_path: Path) -> None:
    for number, face in enumerate(photos):
        face.image.save(tmp_path / f"{number}.png")
    assert len(faces_in(tmp_path, studio, "aligned")) == 3
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    with pytest.raises(PicturesUnusable, match=r"broken\.png"):
        faces_in(tmp_path, studio, "aligned")
    with pytest.raises(PicturesUnusable):
        faces_in(tmp_path / "nowhere", studio)
    (tmp_path / "holes").mkdir()
    Image.fromarray(np.full((64, 64), np.nan, np.float32)).save(tmp_path / "holes" / "hole.tiff")
    with pytest.raises(PicturesUnusable, match=r"hole\.tiff.*NaN"):
        faces_in(tmp_path / "holes", studio, "aligned")


def test_a_folder_of_too_many_references_is_named(photos: list[AlignedFace], tmp_path: Path) -> None:
    for folder, count in (("few", 2), ("many", 15)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            photos[0].image.save(tmp_path / folder / f"{number}.png")
    with pytest.raises(PicturesUnusable, match="'many' holds 15 style pictures; keep the best 14"):
        check_reference_folders([tmp_path / "few", tmp_path / "many"])


def test_shipped_packs(mini: FewShotGan) -> None:
    assert not set(PHOTO_FACES) & set(PACK_FACES) and len(set(PHOTO_FACES)) == 11
    for slug, plan in PLANS.items():
        pack = load_pack(ASSETS_DIR / "study" / slug)
        assert pack.slug == slug and pack.arms == plan.arms and len(pack.trials) == 11
        assert pack.provenance["fingerprint"] == mini.description.fingerprint, "render it again: core.make_assets.packs"
        config = arm_config(Studio(mini), plan.chosen_arms()[0], preset=plan.preset, seed=plan.seed)
        assert [pack.provenance[name] for name in ("steps", "seed")] == [config.steps, config.seed]


@pytest.mark.parametrize("slug", COMPARED_LIVE)
def test_shipped_arms_differ_in_method_and_references_alone(slug: str, mini_studio: Studio) -> None:
    folder = ASSETS_DIR / "study" / "arms" / slug
    found = {path.stem: mini_studio.load_style(path).meta for path in folder.glob("*.safetensors")}
    assert set(found) == set(ARMS)
    few = found["ours-few"].reference_hashes
    assert len(few) == len(PACK_FACES)
    for arm in PAPER_ARMS:
        assert found[arm.id].reference_hashes == (few if arm.few else few[:1])
        config = arm_config(mini_studio, arm, preset=PLANS[slug].preset, seed=PLANS[slug].seed)
        assert found[arm.id].config == config_values(config)
