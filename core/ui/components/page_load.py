"""The page shows itself when its parts are in place, since Gradio loads each kind of component by itself and they would
push each other around. After `PATIENCE_S` it shows itself in any case, also without scripts.
"""

from __future__ import annotations

import json

PATIENCE_S = 3
PARTS = ("#photo button", "#examples img", "#shelf .si-tile", "#empty .si-empty", "#draw", "#strength input")

HEAD = f"""<style>
html.si-arriving .gradio-container {{ visibility: hidden; animation: si-arrive 0s linear {PATIENCE_S}s forwards; }}
@keyframes si-arrive {{ to {{ visibility: visible; }} }}
</style>
<script>
(() => {{
  const page = document.documentElement;
  page.classList.add('si-arriving');
  const look = () => {{
    const missing = {json.dumps(PARTS)}.some((part) => !document.querySelector(part));
    if (missing && performance.now() < {PATIENCE_S * 1000}) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => page.classList.remove('si-arriving')));
  }};
  look();
}})();
</script>"""
