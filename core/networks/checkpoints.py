"""Foreign checkpoints against our modules: pick the right part, check it name by name, load it strictly.

Works on dictionaries already in memory; reading, hashing and downloading files belongs to `core.weights.fetch`. Key
names follow the public PyTorch checkpoints of StyleGAN2 (`g_ema`, `d`) and of e4e (`state_dict` with `encoder.*`,
`latent_avg`). The rule: every weight that the module needs must be there with its shape; buffers that a module makes
itself (`*.kernel`, `noises.*`, `*.num_batches_tracked`) may be absent; any other name is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Shapes = Mapping[str, Sequence[int]]

ENCODER_PREFIX = "encoder."
IGNORED_PREFIXES = ("decoder.",)  # e4e's file repeats the generator, which is loaded from its own file
_LISTED = 8  # offending names spelled out per kind; the rest is counted


def may_be_absent(name: str) -> bool:
    """Tell whether a module makes this buffer itself: a blur kernel, stored noise or a batch counter."""
    return name.rpartition(".")[2] in ("kernel", "num_batches_tracked") or name.startswith("noises.")


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of everything in the module's state dict (also on the meta device)."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def check_state(state: Mapping[str, object], expected: nn.Module | Shapes, *, source: str = "checkpoint") -> None:
    """Refuse a foreign state dict that does not fit.

    Args:
        state: name -> tensor, as read from a file.
        expected: a module, or name -> shape.
        source: what to call the state dict in messages, such as a file name.

    Raises:
        ValueError: weights are missing, unknown, not tensors of numbers, or of another shape. The message lists the
            names with got and expected.
    """
    shapes = shapes_of(expected) if isinstance(expected, nn.Module) else expected
    problems: list[tuple[str, list[str | None]]] = [
        ("missing", [_described(n, shapes[n]) for n in shapes if n not in state and not may_be_absent(n)]),
        ("unknown", [f"{n!r} ({_kind(value)})" for n, value in state.items() if n not in shapes]),
        ("unfit", [_misfit(n, state[n], shapes[n]) for n in shapes if n in state]),
    ]
    found = [(kind, [line for line in lines if line]) for kind, lines in problems]
    details = "; ".join(f"{kind}: {_listing(lines)}" for kind, lines in found if lines)
    if details:
        counts = f"got {len(state)} names, expected {len(shapes)}"
        raise ValueError(f"{source} does not fit the network ({counts}). {details}")


def load_into(module: nn.Module, state: Mapping[str, Tensor], *, source: str = "checkpoint") -> None:
    """Check a foreign state dict and load all of it; the module stays untouched when the check fails.

    Buffers that the state dict lacks keep the module's own values. Values are converted to the module's dtype and
    device. A module built under `torch.device("meta")`, which skips the initialisation of large networks, takes
    the state dict's tensors themselves (no copy, on the device they are on) and can only lack batch counters.

    Raises:
        ValueError: the state dict does not fit (see `check_state`), or it lacks buffers that a meta module needs.
    """
    check_state(state, module, source=source)
    own = module.state_dict()
    on_meta = any(tensor.is_meta for tensor in own.values())
    complete = {}
    for name, tensor in own.items():
        if name in state:
            complete[name] = state[name].detach().to(tensor.dtype)
        elif tensor.is_meta:
            complete[name] = _fresh_counter(name, tensor, source)
        else:
            complete[name] = tensor
    module.load_state_dict(complete, strict=True, assign=on_meta)


def pick_part(checkpoint: Mapping[str, object], part: str) -> Mapping[str, Tensor]:
    """Pick one network's state dict from a checkpoint of several: `g_ema` or `d` of StyleGAN2, `g` of a style.

    Raises:
        ValueError: the checkpoint or the part is not a dictionary, or the part is absent.
    """
    if not isinstance(checkpoint, Mapping):
        raise ValueError(f"checkpoint: expected a dictionary with {part!r}, got {_kind(checkpoint)}")
    if part not in checkpoint:
        raise ValueError(f"checkpoint: expected {part!r}, got only {_listing([repr(name) for name in checkpoint])}")
    state = checkpoint[part]
    if not isinstance(state, Mapping):
        raise ValueError(f"checkpoint: expected {part!r} to be a dictionary of tensors, got {_kind(state)}")
    return state


def pick_prefixed(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Pick one network's weights out of a flat file, `part.name` -> `name`, in float32."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): tensor.float() for name, tensor in state.items() if name.startswith(prefix)}


def pick_encoder(
    checkpoint: Mapping[str, object], *, n_latent: int = 18, style_dim: int = 512
) -> tuple[dict[str, Tensor], Tensor]:
    """Pick the encoder and the average code of an e4e checkpoint.

    Returns:
        The weights under `encoder.` without that prefix, and `latent_avg` [n_latent, style_dim] as float32, which is
        to be added to the encoder's codes.

    Raises:
        ValueError: a part is absent, `latent_avg` has another shape, or `state_dict` holds names that are neither
            the encoder's nor the generator's.
    """
    everything = pick_part(checkpoint, "state_dict")
    strangers = [repr(name) for name in everything if not name.startswith((ENCODER_PREFIX, *IGNORED_PREFIXES))]
    if strangers:
        raise ValueError(f"checkpoint: expected names under 'encoder.' or 'decoder.', got also {_listing(strangers)}")
    encoder = {
        name.removeprefix(ENCODER_PREFIX): tensor
        for name, tensor in everything.items()
        if name.startswith(ENCODER_PREFIX)
    }
    if not encoder:
        raise ValueError(f"checkpoint: expected weights under 'encoder.', got none of {len(everything)} names")
    average = checkpoint.get("latent_avg")
    misfit = _misfit("latent_avg", average, (n_latent, style_dim))
    if misfit or not isinstance(average, Tensor):
        raise ValueError(f"checkpoint: {misfit}")
    return encoder, average.detach().float()


def _fresh_counter(name: str, tensor: Tensor, source: str) -> Tensor:
    """Make a zero batch counter for a module without memory of its own; other buffers can't be made up."""
    if not name.endswith("num_batches_tracked"):
        raise ValueError(f"{source} lacks the buffer {name!r}: expected it, since the module is on the meta device")
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


def _misfit(name: str, value: object, shape: Sequence[int]) -> str | None:
    """Say what is wrong with one entry, or None."""
    counter = name.endswith("num_batches_tracked")
    if isinstance(value, Tensor) and tuple(value.shape) == tuple(shape) and (counter or value.is_floating_point()):
        return None
    return f"{name!r} got {_kind(value)}, expected {list(shape)}"


def _described(name: str, shape: Sequence[int]) -> str:
    return f"{name!r} {list(shape)}"


def _kind(value: object) -> str:
    """Describe a tensor by its shape (and its dtype where that is not a float), or the type's name."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{list(value.shape)}" + ("" if value.is_floating_point() else f" {value.dtype}")


def _listing(lines: Sequence[str]) -> str:
    """Join the first lines, and say how many follow."""
    more = len(lines) - _LISTED
    return ", ".join(lines[:_LISTED]) + (f" and {more} more" if more > 0 else "")
