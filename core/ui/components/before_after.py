"""The result as the page shows it: photo and portrait over each other with a movable cut, and the training's preview.

Both pictures travel inside the HTML, so the page keeps no copy of them as files. The cut is a range input laid over the
pictures, which mouse, touch and arrow keys move; its place is kept on the component's element and so outlives redraws.
Where a browser can, the portrait is copied or shared from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.ui.components import widgets
from core.ui.components.rendering import render

if TYPE_CHECKING:
    from markupsafe import Markup
    from PIL import Image

SHOWN_PX = 640  # shorter pictures are enlarged, so that the browser doesn't
LARGEST_PX = 1280
QUALITY = 92
ROUGH_PX = 128  # drawings of this side or less are rough levels of a finer one, whose pixels shall not be seen
SOFT_PX = 512  # what they are enlarged to first
_LANCZOS, _BICUBIC = 1, 3

SCRIPT = """
const place = () => {
  const range = element.querySelector('input[type=range]');
  const frame = element.querySelector('.si-compare');
  if (!range || !frame) return;
  range.value = element.dataset.cut || 50;
  frame.style.setProperty('--cut', range.value + '%');
};
element.addEventListener('input', (event) => {
  if (event.target.type !== 'range') return;
  element.dataset.cut = event.target.value;
  place();
});
const full = () => {
  const frame = element.querySelector('.si-compare');
  if (document.fullscreenElement) document.exitFullscreen();
  else if (frame.requestFullscreen) frame.requestFullscreen();
};
// The finished file where it is known, since it carries its mark; else the picture that is shown.
const file = async (type) => {
  const offered = document.querySelector('#download a[href], a#download[href]');
  const reply = await fetch(offered ? offered.href : element.querySelector('img.after').src);
  const blob = await reply.blob();
  if (!type || blob.type === type) return blob;
  const picture = await createImageBitmap(blob);
  const canvas = Object.assign(document.createElement('canvas'), {width: picture.width, height: picture.height});
  canvas.getContext('2d').drawImage(picture, 0, 0);
  return new Promise((done) => canvas.toBlob(done, type));
};
const named = (blob) => new File([blob], `portrait.${blob.type === 'image/png' ? 'png' : 'jpg'}`, {type: blob.type});
const copy = (button) => navigator.clipboard
  .write([new ClipboardItem({'image/png': file('image/png')})])
  .then(() => { button.dataset.done = ''; setTimeout(() => delete button.dataset.done, 2000); });
const share = async () => navigator.share({files: [named(await file())]});
element.addEventListener('click', (event) => {
  const pressed = event.target.closest('[data-full], [data-copy], [data-share]');
  if (!pressed) return;
  if ('full' in pressed.dataset) full();
  else ('copy' in pressed.dataset ? copy(pressed) : share()).catch(() => {});  // refused, or changed their mind
});
const offer = () => {
  place();
  const can = {
    '[data-copy]': navigator.clipboard && window.ClipboardItem,
    '[data-share]': navigator.canShare && navigator.canShare({files: [named(new Blob([], {type: 'image/png'}))]}),
  };
  for (const [part, able] of Object.entries(can)) {
    const button = element.querySelector(part);
    if (button) button.hidden = !able;
  }
};
watch('value', offer);
offer();
"""


def _address(image: Image.Image, size: tuple[int, int]) -> str:
    shown = image if image.size == size else image.resize(size, _LANCZOS)
    return widgets.data_address(shown, side_px=LARGEST_PX, quality=QUALITY)


def _size(image: Image.Image) -> tuple[int, int]:
    """Return the size to show a picture in, [W, H] in pixels."""
    scale = min(max(1.0, SHOWN_PX / min(image.size)), LARGEST_PX / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _softened(image: Image.Image) -> Image.Image:
    """Enlarge a rough level without ringing; others stay as they are."""
    if max(image.size) > ROUGH_PX:
        return image
    scale = SOFT_PX / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), _BICUBIC)


def before_after(before: Image.Image, after: Image.Image, *, rough: bool = False) -> Markup:
    """Return photo and portrait of the same framing over each other, with a cut to move.

    Args:
        rough: the portrait is not finished, and says so.
    """
    after = _softened(after) if rough else after
    size = _size(after)
    pictures = {"before": _address(before, size), "after": _address(after, size)}
    return render(widgets.TEMPLATE, "before_after", **pictures, ratio=size[0] / size[1], rough=rough)


def preview(image: Image.Image, *, practice: bool = False) -> Markup:
    """Return the picture that shows how far a training run is.

    Args:
        practice: it is a face that the run is going to learn from.
    """
    return render(widgets.TEMPLATE, "preview", picture=_address(image, _size(image)), practice=practice)
