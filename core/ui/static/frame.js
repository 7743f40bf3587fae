// The frame over a photo: dragged, resized at its corners, turned at its handle, and all of it by keys. Tells where it is
// ("input": across, down, size in percent, degrees), or puts it into the button that sends it ("data-frame").
// Runs as a component's `js_on_load`.
const percent = (value, low, high) => Math.min(high, Math.max(low, value));
const placed = (frame) => ['across', 'down', 'size', 'degrees'].map((name) => Number(frame.dataset[name]));
const lay = (frame, across, down, size, degrees) => {
  const at = {across: percent(across, 0, 100), down: percent(down, 0, 100), size: percent(size, 10, 150),
    degrees: degrees > 180 ? degrees - 360 : degrees < -180 ? degrees + 360 : degrees};
  Object.assign(frame.dataset, at);
  frame.style.left = `${at.across}%`;
  frame.style.top = `${at.down}%`;
  frame.style.width = `${at.size * Number(frame.dataset.shorter)}%`;
  frame.style.setProperty('--turn', `${at.degrees}deg`);
};
let telling;
const tell = (frame, wait) => {
  clearTimeout(telling);
  const button = element.querySelector('[data-frame]');
  if (button) {
    button.dataset.pick = `${button.dataset.frame}:${placed(frame).join(',')}`;
    return;
  }
  element.querySelector('.si-notice')?.remove();  // there is something to draw now, whatever was found
  telling = setTimeout(() => trigger('input', {pick: placed(frame).join(',')}), wait);
};
element.addEventListener('pointerdown', (event) => {
  const frame = event.target.closest('button.frame');
  if (!frame) return;
  event.preventDefault();
  frame.focus();
  frame.setPointerCapture(event.pointerId);
  const photo = frame.parentElement.getBoundingClientRect();
  const start = placed(frame), from = [event.clientX, event.clientY];
  const centre = [photo.left + photo.width * start[0] / 100, photo.top + photo.height * start[1] / 100];
  const how = event.target.dataset.grip || 'move';
  const move = (now) => {
    const [x, y] = [now.clientX - centre[0], now.clientY - centre[1]];
    if (how === 'move') {
      const by = [100 * (now.clientX - from[0]) / photo.width, 100 * (now.clientY - from[1]) / photo.height];
      lay(frame, start[0] + by[0], start[1] + by[1], start[2], start[3]);
    } else if (how === 'size') {
      const share = Math.hypot(x, y) * Math.SQRT2 / Math.min(photo.width, photo.height);
      lay(frame, start[0], start[1], 100 * share, start[3]);
    } else {
      lay(frame, start[0], start[1], start[2], Math.atan2(x, -y) * 180 / Math.PI);
    }
  };
  const end = (last) => {
    frame.removeEventListener('pointermove', move);
    if (placed(frame).join() !== start.join()) tell(frame, 0);
  };
  frame.addEventListener('pointermove', move);
  frame.addEventListener('pointerup', end, {once: true});
  frame.addEventListener('pointercancel', end, {once: true});
});
element.addEventListener('click', (event) => {
  if (!event.target.closest('button.frame')) clearTimeout(telling);
});
element.addEventListener('wheel', (event) => {
  const frame = event.target.closest('button.frame');
  if (!frame) return;
  event.preventDefault();
  const [across, down, size, degrees] = placed(frame);
  lay(frame, across, down, size - Math.sign(event.deltaY) * 2, degrees);
  tell(frame, 500);
}, {passive: false});
watch('value', () => {
  const frame = element.querySelector('button.frame');
  if (frame && element.contains(document.activeElement)) frame.focus();
});
element.addEventListener('keydown', (event) => {
  const frame = event.target.closest('button.frame');
  const step = event.shiftKey ? 5 : 1;
  const by = {
    ArrowLeft: [-step, 0, 0, 0], ArrowRight: [step, 0, 0, 0], ArrowUp: [0, -step, 0, 0], ArrowDown: [0, step, 0, 0],
    '+': [0, 0, 2, 0], '-': [0, 0, -2, 0], '[': [0, 0, 0, -2], ']': [0, 0, 0, 2],
  }[event.key];
  if (!frame || !by) return;
  event.preventDefault();
  lay(frame, ...placed(frame).map((value, index) => value + by[index]));
  tell(frame, 500);
});
