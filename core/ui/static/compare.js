// Photo and portrait over each other: the cut between them, full screen, copying and sharing. Runs as `js_on_load`.
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
  const address = props.file && new URL(`gradio_api/file=${props.file}`, document.baseURI);
  const reply = await fetch(address || element.querySelector('img.after').src);
  const blob = await reply.blob();
  if (!type || blob.type === type) return blob;
  const picture = await createImageBitmap(blob);
  const canvas = Object.assign(document.createElement('canvas'), {width: picture.width, height: picture.height});
  canvas.getContext('2d').drawImage(picture, 0, 0);
  return new Promise((done) => canvas.toBlob(done, type));
};
const named = (blob) => new File([blob], `portrait.${blob.type === 'image/png' ? 'png' : 'jpg'}`, {type: blob.type});
const say = (what) => {
  const line = element.querySelector('.said');
  if (line) line.textContent = line.dataset[what];
};
const copy = (button) => navigator.clipboard
  .write([new ClipboardItem({'image/png': file('image/png')})])
  .then(() => {
    say('done');
    button.dataset.done = '';
    setTimeout(() => delete button.dataset.done, 2000);
  });
const share = async () => navigator.share({files: [named(await file())]});
element.addEventListener('click', (event) => {
  const pressed = event.target.closest('[data-full], [data-copy], [data-share]');
  if (!pressed) return;
  if ('full' in pressed.dataset) full();
  else ('copy' in pressed.dataset ? copy(pressed) : share()).catch((error) => error.name === 'AbortError' || say('failed'));
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
