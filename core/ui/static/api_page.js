// Gradio's page for programs opens on MCP unless the address names a language: Python, since most who come have a script.
addEventListener('click', (event) => {
  const address = new URL(location.href);
  if (!event.target.closest?.('footer .show-api') || address.searchParams.has('lang')) return;
  address.searchParams.set('lang', 'python');
  history.replaceState(history.state, '', address);
}, { capture: true });
