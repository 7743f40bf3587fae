"""Training of the embedded backbone: styles, filters, data, schedule, and a few real steps on made-up faces."""

from __future__ import annotations

import ast
import csv
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from core.engines.fewshot_gan.detail import detail_distance
from core.engines.fewshot_gan.mini import load_mini
from core.make_assets.pretrain import export, losses, new_faces, people, train
from core.make_assets.pretrain.__main__ import parse
from core.make_assets.pretrain.data import Faces, face_weights, jitter_geometry, jitter_light, load_faces
from core.make_assets.pretrain.train import TrainConfig, Trainer, draw_batch, learning_rate, train_step
from core.networks.squeezenet import WEIGHTS_FILE
from core.procedural import augmentations, filters
from core.weights.load import load_embedded, read_fingerprint, save_embedded, write_manifest
from tests.test_networks_squeezenet import made_up_arrays

ROOT = Path(__file__).resolve().parent.parent
PEOPLE = 8
EVERY_STYLE = {**augmentations.TRAINING, **augmentations.HELD_OUT}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def landmarks_of_an_oval_face(side_px: int, shift_px: float) -> np.ndarray:
    """68 points in the usual order: jaw, brows, nose, eyes, mouth."""
    jaw = np.linspace(math.pi, 0, 17)
    ring6, ring20 = np.linspace(0, 2 * math.pi, 7)[:-1], np.linspace(0, 2 * math.pi, 21)[:-1]
    points = [(0.5 + 0.28 * math.cos(a), 0.5 + 0.38 * math.sin(a)) for a in jaw]
    points += [(x, 0.38) for x in np.linspace(0.3, 0.45, 5)] + [(x, 0.38) for x in np.linspace(0.55, 0.7, 5)]
    points += [(0.5, y) for y in np.linspace(0.44, 0.58, 4)] + [(x, 0.61) for x in np.linspace(0.45, 0.55, 5)]
    for x in (0.38, 0.62):
        points += [(x + 0.04 * math.cos(a), 0.45 + 0.02 * math.sin(a)) for a in ring6]
    points += [(0.5 + 0.09 * math.cos(a), 0.73 + 0.03 * math.sin(a)) for a in ring20]
    return (np.array(points) * side_px + shift_px).astype(np.float32)


def draw_face(points: np.ndarray, seed: int, side_px: int) -> Image.Image:
    dice = np.random.RandomState(seed)
    back, skin, dark = (tuple(dice.randint(*ends, 3).tolist()) for ends in ((0, 255), (120, 240), (0, 90)))
    image = Image.new("RGB", (side_px, side_px), back)
    pen = ImageDraw.Draw(image)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    pen.ellipse((left, top - 0.1 * side_px, right, bottom), fill=skin)
    for part in (points[36:42], points[42:48], points[48:68]):
        (x0, y0), (x1, y1) = part.min(axis=0), part.max(axis=0)
        pen.ellipse((x0, y0, x1, y1), fill=dark)
    return image


@pytest.fixture(scope="module")
def faces_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces in the layout of the training data: eight to train on, two held out, some soft or grey."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "images").mkdir()
    names, points, rows = [], [], []
    for number in range(PEOPLE + 2):
        side_px = 128 if number == 1 else 256
        name, marks = f"face_{number}.webp", landmarks_of_an_oval_face(side_px, number - 4.0)
        draw_face(marks, number, side_px).save(folder / "images" / name, lossless=True)
        names.append(name)
        points.append(marks)
        row = {"file": name, "source": "drawn", "native_crop_px": 256 - 40 * (number % 4)}
        rows.append(row | {"split": "train" if number < PEOPLE else "val", "colour": int(number != 2)})
    np.savez(folder / "landmarks68.npz", files=np.array(names), points=np.array(points))
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def faces(faces_dir: Path) -> Faces:
    return load_faces(faces_dir, "train")


@pytest.fixture(autouse=True)
def few_invented_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as a test looks at, each refined by a step instead of thirty."""
    monkeypatch.setattr(export, "PEOPLE", 2)
    monkeypatch.setattr(people, "STEPS", 1)


@pytest.fixture(scope="module")
def own_networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    np.savez(folder / WEIGHTS_FILE, **made_up_arrays())
    return folder


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A drawn face at 64 px, [1, 3, 64, 64] in [-1, 1]."""
    pixels = np.asarray(draw_face(landmarks_of_an_oval_face(64, 0), 3, 64)).copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_needs_few_packages() -> None:
    """Follows the imports of `python -m core.make_assets.pretrain` through this project's own modules."""
    waiting, seen, roots = [ROOT / "core" / "make_assets" / "pretrain" / "__main__.py"], set(), set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                roots.add(name.split(".")[0])
                parts = name.split(".") if name.startswith("core.") else []
                found = [ROOT.joinpath(*parts[:end]).with_suffix(".py") for end in range(2, len(parts) + 1)]
                waiting += [file for file in found if file.exists() and file not in seen]
    third_party = roots - set(sys.stdlib_module_names) - {"core"}
    assert third_party == {"torch", "torchvision", "numpy", "PIL", "safetensors"}
    assert {path.name for path in seen} >= {"train.py", "export.py", "mini.py", "squeezenet.py", "people.py"}


def test_held_out_styles_are_never_trained_on() -> None:
    assert len(augmentations.TRAINING) == 11 and len(augmentations.HELD_OUT) == 6
    assert not set(augmentations.TRAINING) & set(augmentations.HELD_OUT)
    assert len(augmentations._WEIGHTS) == len(augmentations.TRAINING)


@pytest.mark.parametrize("name", EVERY_STYLE)
def test_styles_keep_shape_and_range_and_follow_the_seed(name: str, photo: Tensor) -> None:
    style, before = EVERY_STYLE[name], photo.clone()
    for seed in range(3):
        drawn = style(photo, rng(seed))
        assert drawn.shape == photo.shape and drawn.dtype == torch.float32
        assert drawn.abs().max() <= 1 and bool(torch.isfinite(drawn).all())
        assert torch.equal(drawn, style(photo, rng(seed)))
    assert (drawn - photo).abs().mean() > 0.01, "it changes the picture"
    assert drawn.std() > 0.01, "something is left to see"
    assert torch.equal(photo, before)
    assert style.__doc__


def test_styles_take_batches(photo: Tensor) -> None:
    pair = torch.cat([photo, photo.flip(3)])
    for style in EVERY_STYLE.values():
        assert style(pair, rng()).shape == pair.shape


def test_random_styles_and_tones(photo: Tensor) -> None:
    for change, reach in ((augmentations.random_style, 1.0), (augmentations.random_tone, 1.5)):  # tones are not clipped
        drawn = [change(photo, rng(seed)) for seed in range(12)]
        assert all(picture.shape == photo.shape and picture.abs().max() <= reach for picture in drawn)
        assert torch.equal(drawn[5], change(photo, rng(5)))
        assert len({round(picture.mean().item(), 5) for picture in drawn}) > 8
    flat = torch.full((1, 3, 4, 4), 0.2)
    tone = augmentations.random_tone(flat, rng(1))
    assert tone.std() < 1e-6 and not torch.allclose(tone, flat), "a tone curve has no place"


def test_luminance_and_saturation() -> None:
    x = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    grey = 0.299 * 0.2 + 0.587 * 0.5 + 0.114 * 0.9
    assert filters.luminance(x).item() == pytest.approx(grey)
    torch.testing.assert_close(filters.saturate(x, 0.0), torch.full_like(x, grey))
    torch.testing.assert_close(filters.saturate(x, 1.0), x)


def test_blurs_keep_flat_areas_and_spread_a_point() -> None:
    flat = torch.full((1, 2, 20, 20), 0.3)
    torch.testing.assert_close(filters.gaussian_blur(flat, 1.5), flat)
    torch.testing.assert_close(filters.box_blur(flat, 3), flat)
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    spread = filters.gaussian_blur(point, 2.0)
    axis = torch.arange(41.0) - 20
    variance = (spread.sum(dim=2)[0, 0] * axis.square()).sum().item()
    assert spread.sum().item() == pytest.approx(1, abs=1e-5) and variance == pytest.approx(4, rel=0.12)
    box = filters.box_blur(point, 1)
    torch.testing.assert_close(box[0, 0, 19:22, 19:22], torch.full((3, 3), 1 / 9))
    assert (box > 0).sum() == 9


def test_soft_step_and_gradient_map() -> None:
    x = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(filters.soft_step(x, 0.5, 1.0), torch.sigmoid(4 * (x - 0.5)))
    palette = torch.tensor([[0.0, 0.0, 0.2], [0.4, 0.6, 0.2], [1.0, 0.8, 1.0]])
    grey = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]).view(1, 1, 1, 5)
    middle = (palette[:-1] + palette[1:]) / 2
    expected = torch.stack([palette[0], middle[0], palette[1], middle[1], palette[2]])
    torch.testing.assert_close(filters.gradient_map(grey, palette)[0, :, 0].t(), expected)


def test_kuwahara_keeps_an_edge_and_flattens_noise() -> None:
    edge = torch.zeros(1, 3, 24, 24)
    edge[..., 12:] = 1
    torch.testing.assert_close(filters.kuwahara(edge, 3), edge, rtol=0, atol=1e-6)
    noisy = edge + 0.1 * torch.randn(edge.shape, generator=rng())
    assert (filters.kuwahara(noisy, 3) - edge).abs().mean() < 0.6 * (noisy - edge).abs().mean()


def test_lines_appear_on_edges_only() -> None:
    edge = torch.full((1, 1, 32, 32), 0.9)
    edge[..., 16:] = 0.6
    response = filters.line_response(edge, 1.0, sharpness=20, edge=0.5)
    assert torch.equal(response[..., :8], torch.ones(1, 1, 32, 8)) and response[..., 14:19].min() < 0.5


def test_noise_and_phase() -> None:
    noise = filters.value_noise((2, 1, 32, 48), 8, rng())
    assert noise.shape == (2, 1, 32, 48) and noise.min() >= 0 and noise.max() <= 1
    assert torch.equal(noise, filters.value_noise((2, 1, 32, 48), 8, rng()))
    assert (noise[..., 1:] - noise[..., :-1]).abs().mean() < 0.1, "smooth"
    phase = filters.rotated_phase(8, 8, 0.0, 4.0)
    torch.testing.assert_close(phase[:, 0], torch.arange(8.0) * math.pi / 2)
    torch.testing.assert_close(phase[3], phase[3, :1].expand(8))


def test_displacement_of_nothing_is_nothing(photo: Tensor) -> None:
    torch.testing.assert_close(filters.displace(photo, 0.0, 8, rng()), photo, rtol=0, atol=1e-4)
    assert not torch.allclose(filters.displace(photo, 2.0, 8, rng()), photo, atol=0.05)


def test_losses_in_closed_form() -> None:
    a, b = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    b[..., 0, 0] = 3.0
    weights = torch.tensor([[[[4.0, 1.0], [1.0, 2.0]]]])
    assert losses.weighted_l1(a, b, weights).item() == pytest.approx((12 + 1 + 1 + 2) / 8)
    logits = torch.tensor([[0.0], [1.0]])
    softplus = [math.log(2), math.log(1 + math.exp(-1))]
    assert losses.generator_adversarial(logits).item() == pytest.approx(sum(softplus) / 2)
    assert losses.discriminator_adversarial(logits, -logits).item() == pytest.approx(sum(softplus))
    found = losses.feature_distance(lambda x: [x, 2 * x], b, [a, a], [1.0, 0.5])
    assert found.item() == pytest.approx((1.5 + 0.5 * 3.0) / 2)

    class Sum(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 3 * x.sum(dim=(1, 2, 3), keepdim=False)[:, None]

    assert losses.r1_penalty(Sum(), torch.rand(2, 3, 4, 4)).item() == pytest.approx(0.5 * 9 * 48)


def test_low_frequency_loss_sees_light_and_not_lines() -> None:
    lines = torch.zeros(1, 3, 32, 32)
    lines[..., ::2], lines[..., 1::2] = 0.5, -0.5
    flat_grey = torch.zeros_like(lines)
    assert losses.low_frequency_l1(lines, flat_grey).item() == pytest.approx(0, abs=1e-6)
    assert losses.low_frequency_l1(flat_grey + 0.25, flat_grey).item() == pytest.approx(0.25)


def test_detail_is_how_much_and_not_where() -> None:
    grain = torch.randn((1, 1, 64, 64), generator=rng()).expand(-1, 3, -1, -1)
    assert detail_distance(grain, grain).item() == pytest.approx(0, abs=1e-6)
    moved = detail_distance(grain.roll((3, 5), (2, 3)), grain).item()
    assert moved < 0.1, "the same grain elsewhere is nearly as good"
    assert detail_distance(0.5 * grain, grain).item() == pytest.approx(0.5, abs=0.01)
    assert detail_distance(torch.zeros_like(grain), grain).item() == pytest.approx(1, abs=0.01)


def test_face_colour_reads_the_middle() -> None:
    picture = torch.zeros(1, 3, 100, 100)
    picture[:, 0, 42:78, 34:66] = 1.0
    assert losses.face_colour(picture).tolist() == [[1.0, 0.0, 0.0]]


def test_faces_of_a_folder(faces: Faces, faces_dir: Path) -> None:
    assert len(faces) == PEOPLE and faces.pictures.shape == (PEOPLE, 3, 256, 256)
    assert faces.names[0] == "face_0.webp" and set(faces.sources) == {"drawn"}
    assert faces.sharp.tolist() == [True, True, False, False] * 2
    assert faces.colour.tolist() == [True, True, False] + [True] * 5
    assert faces.sampling.tolist() == [4.5, 4.5, 1.0, 1.5, 4.5, 4.5, 1.5, 1.5]
    np.testing.assert_allclose(faces.landmarks[1], 2 * landmarks_of_an_oval_face(128, -3.0), rtol=1e-5)
    pictures, weights = faces.batch(torch.tensor([0, 3]))
    with Image.open(faces_dir / "images" / "face_3.webp") as image:
        expected = np.asarray(image.convert("RGB")).astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(pictures[1].permute(1, 2, 0).numpy(), expected, atol=1e-6)
    assert weights.dtype == torch.float32 and weights.shape == (2, 1, 256, 256)
    assert len(load_faces(faces_dir, "val", resolution=64)) == 2
    assert len(load_faces(faces_dir, "train", resolution=64, limit=4)) == 4


def test_an_unknown_split_is_refused(faces_dir: Path) -> None:
    with pytest.raises(ValueError, match="no picture of the split 'test'"):
        load_faces(faces_dir, "test")


def test_weights_are_highest_on_eyes_and_mouth() -> None:
    points = landmarks_of_an_oval_face(128, 0)
    weights = face_weights(points, 128)
    assert weights[0, 0].item() == pytest.approx(1, abs=0.05) and weights.max() <= 5
    for part in (points[36:42], points[42:48], points[48:68]):
        column, row = part.mean(axis=0).round().astype(int)
        assert weights[row, column] > 4.5
    assert 2 <= weights[76, 34] < 4, "a cheek"


def test_jitter_follows_the_seed_and_keeps_the_range(photo: Tensor) -> None:
    pair = torch.cat([photo, photo])
    moved, lit = jitter_geometry(pair, rng()), jitter_light(pair, rng())
    assert moved.shape == lit.shape == pair.shape and lit.abs().max() <= 1
    assert torch.equal(moved, jitter_geometry(pair, rng())) and torch.equal(lit, jitter_light(pair, rng()))
    assert not torch.equal(moved[0], moved[1]) and not torch.equal(lit[0], lit[1])
    assert (moved - pair).abs().mean() < 0.5, "only small moves"


def test_learning_rate_schedule() -> None:
    config = TrainConfig(minutes=10, decay_share=0.4, learning_rate=1e-3, warmup=100)
    assert learning_rate(config, 0, 100) == learning_rate(config, 359, 9999) == pytest.approx(1e-3)
    assert learning_rate(config, 480, 9999) == pytest.approx(1e-3 * 0.51)
    assert learning_rate(config, 600, 9999) == learning_rate(config, 9999, 9999) == pytest.approx(2e-5)
    assert learning_rate(config, 0, 24) == pytest.approx(0.25e-3), "a short rise"


def test_batches(faces: Faces) -> None:
    config = TrainConfig(batch=4, stylized_share=0.5)
    target, seen, is_drawn, weights = draw_batch(faces, config, rng(1))
    assert target.shape == seen.shape == (4, 3, 256, 256) and weights.shape == (4, 1, 256, 256)
    assert target.abs().max() <= 1 and seen.abs().max() <= 1.5 and weights.min() >= 1 and weights.max() <= 5
    assert not any(torch.equal(target[i], seen[i]) for i in range(4))
    again = draw_batch(faces, config, rng(1))
    assert torch.equal(again[0], target) and torch.equal(again[1], seen) and torch.equal(again[2], is_drawn)
    assert draw_batch(faces, TrainConfig(batch=2, stylized_share=1.0), rng())[2].all()
    assert not draw_batch(faces, TrainConfig(batch=2, stylized_share=0.0), rng())[2].any()


def test_every_setting_is_an_option() -> None:
    needed = ["--faces", "a", "--oracles", "b", "--out", "c"]
    options = parse([*needed, "--batch", "4", "--no-bf16", "--r1-gamma", "0.5"])
    assert parse([*needed, "--judge-every", "3"]).discriminator_every == 3, "its old name"
    assert parse(needed).discriminator_every == TrainConfig().discriminator_every
    assert (options.batch, options.bf16, options.r1_gamma, options.minutes) == (4, False, 0.5, TrainConfig().minutes)
    assert set(TrainConfig.__dataclass_fields__) <= set(vars(options))


def flat(value: object, prefix: str = "") -> dict[str, object]:
    """Nested dictionaries and lists as one dictionary of leaves."""
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for key, item in items for name, leaf in flat(item, f"{prefix}/{key}").items()}
    return {prefix: value}


def same(a: object, b: object) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


CONFIG = TrainConfig(batch=2, bf16=False, minutes=60.0)


@pytest.fixture(scope="module")
def trained(faces: Faces, own_networks: Path) -> tuple[Trainer, list[dict[str, float]]]:
    """A trainer after one coarse step and one at full size with the discriminator."""
    trainer = Trainer(CONFIG, own_networks, torch.device("cpu"))
    reports = [train_step(trainer, faces)]
    trainer.seconds, trainer.step = 3000.0, 32
    reports.append(train_step(trainer, faces))
    trainer.step = 33
    return trainer, reports


def test_both_phases_train(trained: tuple[Trainer, list[dict[str, float]]], own_networks: Path) -> None:
    trainer, (coarse, fine) = trained
    assert set(coarse) == {"pixel", "feature", "low", "swap"}
    assert set(fine) == {"pixel", "feature", "low", "swap", "detail", "adversarial", "discriminator", "distilled"}
    assert all(math.isfinite(value) for value in (*coarse.values(), *fine.values()))
    start = Trainer(CONFIG, own_networks, torch.device("cpu"))
    for name in ("generator", "encoder", "discriminator", "heads", "ema_generator", "ema_encoder"):
        before, after = getattr(start, name).state_dict(), getattr(trainer, name).state_dict()
        assert any(not torch.equal(before[key], after[key]) for key in before), name
    assert not trainer.coarse and start.coarse
    pairs = zip(trainer.generator.parameters(), trainer.ema_generator.parameters(), strict=True)
    assert not all(torch.equal(live, slow) for live, slow in pairs), "the average lags behind"


def test_resuming_restores_everything(
    trained: tuple[Trainer, list[dict[str, float]]], faces: Faces, own_networks: Path, tmp_path: Path
) -> None:
    trainer = trained[0]
    trainer.save(tmp_path / "checkpoint.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    resumed = Trainer(TrainConfig(batch=2, bf16=False, seed=9), own_networks, torch.device("cpu"))
    resumed.load(tmp_path / "checkpoint.pt")
    ours, theirs = flat(trainer.state()), flat(resumed.state())
    assert set(ours) == set(theirs)
    different = [name for name in ours if not same(ours[name], theirs[name])]
    assert different == ["/config/seed"]
    assert (resumed.step, resumed.seconds, resumed.coarse) == (33, 3000.0, False)
    batches = (draw_batch(faces, CONFIG, generator) for generator in (copy_of(trainer.rng), resumed.rng))
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True)), "the same faces come next"


def copy_of(generator: torch.Generator) -> torch.Generator:
    twin = torch.Generator()
    twin.set_state(generator.get_state())
    return twin


def test_an_export_loads_as_the_embedded_backbone(
    trained: tuple[Trainer, list[dict[str, float]]], faces: Faces, tmp_path: Path
) -> None:
    trainer = trained[0]
    export.export(trainer, faces, tmp_path)
    backbone = load_mini(tmp_path, torch.device("cpu"))
    wanted = trainer.ema_generator.state_dict()
    for name, tensor in backbone.generator.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-3, atol=1e-3)
    assert backbone.sample_faces is not None and len(backbone.sample_faces.codes) >= 2
    assert bool(torch.isfinite(backbone.sample_faces.features).all())
    assert backbone.generator.appearance_factors.abs().sum() > 0
    card = (tmp_path / export.CARD_FILE).read_text()
    assert '"faces": 8' in card and '"drawn": 8' in card and '"colour": 7' in card


@pytest.mark.slow
def test_faces_are_invented_anew_for_weights_that_are_there(
    trained: tuple[Trainer, list[dict[str, float]]], faces: Faces, faces_dir: Path, tmp_path: Path
) -> None:
    export.export(trained[0], faces, tmp_path)
    weights, fingerprint = load_embedded(tmp_path / export.WEIGHTS_FILE), read_fingerprint(tmp_path)
    before = (tmp_path / "faces.safetensors").read_bytes()
    new_faces.main(["--faces", str(faces_dir), "--assets", str(tmp_path), "--count", "2", "--seed", "3"])
    assert (tmp_path / "faces.safetensors").read_bytes() != before
    backbone = load_mini(tmp_path, torch.device("cpu"))
    assert backbone.sample_faces.codes.shape == (2, 512) and backbone.sample_faces.features.isfinite().all()
    kept = load_embedded(tmp_path / export.WEIGHTS_FILE)
    assert kept.keys() == weights.keys() and all(torch.equal(kept[name], weights[name]) for name in weights)
    assert backbone.fingerprint == fingerprint


def test_a_run_begins_with_exported_weights(
    trained: tuple[Trainer, list[dict[str, float]]], faces: Faces, own_networks: Path, tmp_path: Path
) -> None:
    trainer = trained[0]
    export.export(trainer, faces, tmp_path)
    later = Trainer(CONFIG, own_networks, torch.device("cpu"))
    later.start_from(tmp_path / export.WEIGHTS_FILE)
    for part, source in (("generator", "ema_generator"), ("encoder", "ema_encoder"), ("discriminator",) * 2):
        wanted = getattr(trainer, source).state_dict()
        for name, tensor in getattr(later, part).state_dict().items():
            torch.testing.assert_close(tensor, wanted[name], rtol=1e-3, atol=1e-3)
    assert later.step == 0 and later.began_with["steps"] == 33
    assert export.model_card(later, faces)["training"]["began_with"]["pictures"] == 66
    save_embedded({"generator.unknown": torch.zeros(1)}, tmp_path / "other.safetensors", metadata={})
    write_manifest(tmp_path)
    with pytest.raises(ValueError, match="another generator"):
        later.start_from(tmp_path / "other.safetensors")


def test_fitted_appearance_describes_the_codes(trained: tuple[Trainer, list[dict[str, float]]], faces: Faces) -> None:
    encoder = trained[0].ema_encoder
    mean, factors = export.fit_appearance(trained[0], faces, factors=16)
    with torch.no_grad():
        codes = encoder.encode_appearance(faces.batch(torch.nonzero(faces.colour)[:, 0])[0])
    torch.testing.assert_close(mean, codes.mean(0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(factors.t() @ factors, torch.cov(codes.t()), rtol=1e-2, atol=1e-3)
    assert not factors[7:].any(), "seven codes span six directions"


def test_sample_sheet(trained: tuple[Trainer, list[dict[str, float]]], faces_dir: Path, tmp_path: Path) -> None:
    export.sample_sheet(trained[0], load_faces(faces_dir, "val"), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 256, (3 + 2 * 4) * 256)


def test_a_run_ends_in_time_and_saves(
    faces: Faces, own_networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(TrainConfig(batch=2, minutes=1e-9, log_every=1), own_networks, torch.device("cpu"))
    monkeypatch.setattr(train, "train_step", lambda trainer, faces: {"pixel": 0.5})
    rows = list(train.run(trainer, faces, tmp_path))
    assert [row["step"] for row in rows] == [1] and rows[0]["pixel"] == 0.5
    train.write_log(tmp_path / "log.jsonl", rows[0])
    assert (tmp_path / "checkpoint.pt").exists() and (tmp_path / "log.jsonl").read_text().count("\n") == 1
    assert list(train.run(trainer, faces, tmp_path)) == [], "nothing is left to do"
