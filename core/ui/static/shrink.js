// Makes large pictures smaller before they travel, however they came into the page (chosen, dropped, pasted): longer ones
// than the server keeps, and heavy ones, become a JPEG without metadata, so the place where a photo was taken stays here.
// What the browser can't read (HEIC, damaged files) travels as it is.
(() => {
  const {longest_px: longest, heavy_bytes: heavy, quality} = JSON.parse(document.getElementById('si-shrink').textContent);
  const KINDS = new Set(['image/jpeg', 'image/png', 'image/webp']);
  const WORTH = 0.8;  // of the former size; else the picture stays as it is
  const SURELY_SMALL = 262144;  // bytes: not even looked at

  const drawn = (picture, scale) => {
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    const pen = canvas.getContext('2d');
    pen.fillStyle = '#fff';  // behind what is transparent, as on the server
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, 'image/jpeg', quality));
  };
  const shrunk = async (file) => {
    if (!KINDS.has(file.type) || file.size < SURELY_SMALL) return file;
    try {
      const picture = await createImageBitmap(file, {imageOrientation: 'from-image'});  // upright, as the camera meant it
      const scale = Math.min(1, longest / Math.max(picture.width, picture.height));
      const small = scale < 1 || file.size > heavy ? await drawn(picture, scale) : null;
      picture.close();
      return small && small.size < WORTH * file.size ? new File([small], file.name, {type: small.type}) : file;
    } catch (error) {
      return file;
    }
  };
  const lighter = async (form) => {
    const made = new FormData();
    for (const [name, value] of form.entries()) {
      if (value instanceof Blob) made.append(name, await shrunk(value), value.name);
      else made.append(name, value);
    }
    return made;
  };

  const plain = window.fetch;
  window.fetch = async function (target, options) {
    const address = String(target?.url ?? target);
    if (/\/gradio_api\/upload(\?|$)/.test(address) && options?.body instanceof FormData) {
      options = {...options, body: await lighter(options.body)};
    }
    return plain.call(this ?? window, target, options);
  };
})();
