"""SSIM protocol `gray_gauss11`: closed forms, a naive loop, and the published Table 2 pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.metrics.ssim import read_gray512, ssim_gray_gauss11, to_gray

C1, C2 = 6.5025, 58.5225  # (0.01 * 255)^2 and (0.03 * 255)^2


def noise(seed: int, shape: tuple[int, int] = (24, 21)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def naive(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, Eq. 13, window by window with an explicit two-dimensional Gaussian."""
    offsets = range(-5, 6)
    window = np.array([[math.exp(-(y * y + x * x) / (2 * 1.5 * 1.5)) for x in offsets] for y in offsets])
    window /= window.sum()
    rows, columns = a.shape[0] - 10, a.shape[1] - 10
    values = np.empty((rows, columns))
    for y in range(rows):
        for x in range(columns):
            p, q = a[y : y + 11, x : x + 11].astype(float), b[y : y + 11, x : x + 11].astype(float)
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p, var_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
            both = (window * (p - mean_p) * (q - mean_q)).sum()
            top = (2 * mean_p * mean_q + C1) * (2 * both + C2)
            values[y, x] = top / ((mean_p**2 + mean_q**2 + C1) * (var_p + var_q + C2))
    return float(values.mean())


def test_equals_the_naive_loop_and_the_stored_value() -> None:
    """The number was stored by this project's own program before scikit-image took over: separable, in NumPy."""
    a = noise(1)
    b = (0.6 * a + 0.4 * noise(2)).astype(np.uint8)
    assert ssim_gray_gauss11(a, b) == pytest.approx(naive(a, b), abs=1e-10)
    assert ssim_gray_gauss11(a, b) == pytest.approx(0.7847936129974828, abs=5e-15)


def test_flat_pictures_have_a_closed_form() -> None:
    a, b = np.full((16, 16), 100, np.uint8), np.full((16, 16), 150, np.uint8)
    expected = (2 * 100 * 150 + C1) / (100**2 + 150**2 + C1)
    assert ssim_gray_gauss11(a, b) == pytest.approx(expected, abs=1e-9)


def test_equal_symmetric_and_negative() -> None:
    a, b = noise(5), noise(6)
    assert ssim_gray_gauss11(a, a) == pytest.approx(1)
    assert ssim_gray_gauss11(a, b) == pytest.approx(ssim_gray_gauss11(b, a))
    assert ssim_gray_gauss11(a, 255 - a) < 0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (noise(1), noise(1, (24, 22))),
        (noise(1).astype(float), noise(1)),
        (noise(1, (10, 30)), noise(1, (10, 30))),
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)),
    ],
)
def test_other_input_is_refused(a: np.ndarray, b: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"shape|uint8"):
        ssim_gray_gauss11(a, b)


def test_grey_weights_and_reading(tmp_path: Path) -> None:
    colours = Image.new("RGB", (3, 1))
    colours.putdata([(255, 0, 0), (0, 255, 0), (0, 0, 255)])
    assert to_gray(colours).tolist() == [[76, 150, 29]]
    Image.new("RGB", (100, 100), (10, 20, 30)).save(tmp_path / "small.png")
    grey = read_gray512(tmp_path / "small.png")
    assert grey.shape == (512, 512)
    assert set(grey.ravel()) == {18}


@pytest.mark.parametrize(("method", "suffix", "published"), [("our", "", 0.411), ("jojogan", "-fe", 0.404)])
def test_table2_watercolours(shared_dir: Path, method: str, suffix: str, published: float) -> None:
    """The authors' result pictures give the number of the reference program to its three decimals."""
    folder = shared_dir / "paper" / "table2" / "cas"
    values = [
        ssim_gray_gauss11(read_gray512(path), read_gray512(folder / method / f"{path.stem}{suffix}.jpeg"))
        for path in sorted((folder / "input").iterdir())
    ]
    assert len(values) == 14
    assert round(float(np.mean(values)), 3) == published
