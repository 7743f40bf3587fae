"""Foreign state dicts are taken whole or refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.networks.checkpoints import check_state, load_into, may_be_absent, pick_encoder, pick_part, shapes_of
from tests.recipe import fill


class Small(nn.Module):
    """Every kind of entry a published checkpoint has, in a few numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.blur = nn.Module()
        self.blur.register_buffer("kernel", torch.full((4, 4), 0.0625))
        self.noises = nn.Module()
        self.noises.register_buffer("noise_0", torch.full((1, 1, 4, 4), 0.5))


OPTIONAL = {"norm.num_batches_tracked", "blur.kernel", "noises.noise_0"}


def small_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Needed weights of `Small` only."""
    return fill(Small(), seed, only=lambda name: not may_be_absent(name))


def e4e_checkpoint() -> dict[str, object]:
    """A checkpoint laid out like e4e's, with `Small` as its encoder."""
    encoder = {f"encoder.{name}": tensor for name, tensor in small_state().items()}
    return {
        "state_dict": {**encoder, "decoder.style.1.bias": torch.ones(3)},
        "latent_avg": torch.arange(6, dtype=torch.float64).reshape(3, 2) / 7,
        "opts": {"output_size": 8},
    }


def test_only_self_made_buffers_may_be_absent():
    assert {name for name in shapes_of(Small()) if may_be_absent(name)} == OPTIONAL
    assert not may_be_absent("convs.0.noise.weight")
    assert not may_be_absent("norm.running_var")


def test_a_state_dict_without_those_buffers_loads_and_keeps_the_modules_own():
    network, state = Small(), small_state()
    load_into(network, state)
    loaded = network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    assert loaded["blur.kernel"].sum() == 1
    assert loaded["noises.noise_0"].mean() == 0.5


def test_buffers_that_are_present_are_loaded():
    network = Small()
    extra = {"noises.noise_0": torch.ones(1, 1, 4, 4), "norm.num_batches_tracked": torch.tensor(7)}
    load_into(network, {**small_state(), **extra})
    assert network.noises.noise_0.mean() == 1
    assert network.norm.num_batches_tracked == 7


def test_values_are_copied_and_converted():
    network, state = Small(), {name: tensor.half() for name, tensor in small_state().items()}
    load_into(network, state)
    state["conv.bias"].zero_()
    assert network.conv.bias.dtype == torch.float32
    assert network.conv.bias.requires_grad
    assert network.conv.bias.abs().min() > 0


def test_a_meta_module_takes_the_tensors_themselves():
    with torch.device("meta"):
        network = Small()
    state = {**small_state(), "blur.kernel": torch.ones(4, 4), "noises.noise_0": torch.ones(1, 1, 4, 4)}
    load_into(network, state)
    assert network.conv.weight.data_ptr() == state["conv.weight"].data_ptr()
    assert network.conv.weight.requires_grad
    assert network.norm.num_batches_tracked == 0
    assert not any(tensor.is_meta for tensor in network.state_dict().values())


def test_a_meta_module_cannot_lack_kernels():
    with torch.device("meta"):
        network = Small()
    with pytest.raises(ValueError, match=r"lacks the buffer 'blur\.kernel'"):
        load_into(network, small_state())


def drop(name):
    return lambda state: state.pop(name)


def put(name, value):
    return lambda state: state.update({name: value})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop("conv.bias"), r"missing: 'conv\.bias' \[3\]"),
        (drop("norm.running_var"), r"missing: 'norm\.running_var' \[3\]"),
        (put("conv.extra", torch.ones(2)), r"unknown: 'conv\.extra' \(\[2\]\)"),
        (put("noises.noise_9", torch.ones(1)), r"unknown: 'noises\.noise_9' \(\[1\]\)"),
        (put("conv.bias", torch.ones(1, 3)), r"unfit: 'conv\.bias' got \[1, 3\], expected \[3\]"),
        (
            put("noises.noise_0", torch.ones(1, 1, 8, 8)),
            r"'noises\.noise_0' got \[1, 1, 8, 8\], expected \[1, 1, 4, 4\]",
        ),
        (put("conv.bias", torch.ones(3, dtype=torch.int64)), r"'conv\.bias' got \[3\] torch\.int64, expected \[3\]"),
        (put("conv.bias", [1.0, 2.0, 3.0]), r"'conv\.bias' got list, expected \[3\]"),
        (put("blur.kernel", None), r"'blur\.kernel' got NoneType, expected \[4, 4\]"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_loaded(damage, message):
    network, state = Small(), small_state()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    damage(state)
    with pytest.raises(
        ValueError, match=rf"^style\.pt does not fit the network \(got \d+ names, expected 9\).*{message}"
    ):
        load_into(network, state, source="style.pt")
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_all_kinds_of_trouble_are_told_at_once_and_long_lists_are_cut():
    state = small_state() | {f"extra.{index}": torch.ones(1) for index in range(20)}
    del state["conv.bias"]
    state["conv.weight"] = torch.ones(1)
    with pytest.raises(ValueError) as caught:
        check_state(state, shapes_of(Small()))
    message = str(caught.value)
    assert "missing: 'conv.bias'" in message
    assert "and 12 more" in message
    assert "unfit: 'conv.weight'" in message


def test_parts_of_a_stylegan2_checkpoint():
    generator, discriminator = {"a": torch.ones(1)}, {"b": torch.ones(1)}
    checkpoint = {"g_ema": generator, "d": discriminator, "latent_avg": torch.ones(512)}
    assert pick_part(checkpoint, "g_ema") is generator
    assert pick_part(checkpoint, "d") is discriminator
    with pytest.raises(ValueError, match=r"checkpoint: expected 'g', got only 'g_ema', 'd', 'latent_avg'"):
        pick_part(checkpoint, "g")
    with pytest.raises(ValueError, match=r"expected 'latent_avg' to be a dictionary of tensors, got \[512\]"):
        pick_part(checkpoint, "latent_avg")
    with pytest.raises(ValueError, match="expected a dictionary with 'g', got list"):
        pick_part([1], "g")


def test_encoder_and_average_code_of_an_e4e_checkpoint():
    encoder, average = pick_encoder(e4e_checkpoint(), n_latent=3, style_dim=2)
    assert average.dtype == torch.float32
    assert average[2, 1].item() == pytest.approx(5 / 7)
    load_into(Small(), encoder)
    assert set(encoder) == set(small_state())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop("state_dict"), "expected 'state_dict', got only 'latent_avg', 'opts'"),
        (drop("latent_avg"), r"'latent_avg' got NoneType, expected \[3, 2\]"),
        (put("latent_avg", torch.ones(2)), r"'latent_avg' got \[2\], expected \[3, 2\]"),
        (put("state_dict", {"decoder.x": torch.ones(1)}), "expected weights under 'encoder.', got none of 1 names"),
        (put("state_dict", {"encoder.x": torch.ones(1), "head.y": 1}), "got also 'head.y'"),
    ],
)
def test_damaged_e4e_checkpoints_are_refused(damage, message):
    checkpoint = e4e_checkpoint()
    damage(checkpoint)
    with pytest.raises(ValueError, match=f"^checkpoint: .*{message}"):
        pick_encoder(checkpoint, n_latent=3, style_dim=2)
