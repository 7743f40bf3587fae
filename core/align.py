"""The old place of `core.imaging.align`."""

from core.imaging.align import ffhq_quad as ffhq_quad
from core.imaging.align import warp_to_quad as warp_to_quad
