"""The `lpips` package's LPIPS (Zhang et al. 2018, version 0.1) on VGG16 weights that the caller has.

The package brings the learned weights per channel and would download torchvision's VGG16 by itself; here the caller
hands them over, so that the download is checked like every other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    import lpips


def build_lpips_vgg(vgg_state: dict[str, Tensor]) -> lpips.LPIPS:
    """Build the frozen metric.

    Args:
        vgg_state: `features.N.weight` and `features.N.bias` of torchvision's VGG16; classifier entries are ignored.

    Raises:
        KeyError, RuntimeError: an entry is missing or of another shape.
    """
    import lpips  # loads torchvision, which takes seconds

    metric = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    wanted = {name: name.split(".", 1)[1] for name in metric.net.state_dict()}
    metric.net.load_state_dict({name: vgg_state[f"features.{rest}"] for name, rest in wanted.items()})
    return metric.requires_grad_(False).eval()
