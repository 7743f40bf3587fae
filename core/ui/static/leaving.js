// Asks before the page is left while a style is being trained: unless the same tab comes back within two minutes, the
// run ends. The button that stops a run is on the page only as long as one runs. Whoever deletes their pictures is not
// asked again.
// Gradio drops its connections at this event, also where the visitor then stays; so it must not hear of it, and this
// script stands before its own.
addEventListener('beforeunload', (event) => {
  if (!document.getElementById('stop') || window.siLeaving) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, { capture: true });
