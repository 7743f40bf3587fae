// The page shows itself when its parts are in place, since Gradio loads each kind of component by itself and they would
// push each other around. After some patience it shows itself in any case; the style sheet does so without scripts.
(() => {
  const page = document.documentElement;
  const settings = JSON.parse(document.getElementById('si-page-load').textContent);
  page.classList.add('si-arriving');
  const look = () => {
    const missing = settings.parts.some((part) => !document.querySelector(part));
    if (missing && performance.now() < settings.patience_ms) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => page.classList.remove('si-arriving')));
  };
  look();
})();
