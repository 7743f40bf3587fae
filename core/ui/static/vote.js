// The vote stage: selecting by mouse, touch or key, time on the screen, pictures shown all at once, the code's dialog.
// Runs as js_on_load of the stage, with `element`, `trigger` and `watch` given. Nothing here knows a method's name.
const SLOW_MS = 12000;
const stage = {root: null, ready: false, busy: false, spent: 0, since: null, ticket: '', slow: 0};
const fetched = new Set();

const one = (selector) => element.querySelector(selector);
const chosen = () => one('.st-choices input:checked');
const onScreen = () => element.isConnected && element.checkVisibility();
const words = () => JSON.parse((stage.root && stage.root.dataset.words) || '{}');
const speak = (name) => { const line = one('.st-say'); if (line) line.textContent = words()[name]; };

// Time counts only while the trial is on the screen.
function clock(runs) {
  const now = performance.now();
  if (stage.since !== null) stage.spent += now - stage.since;
  stage.since = runs ? now : null;
}
const tick = () => clock(stage.ready && !document.hidden && onScreen());

function refresh() {
  const go = one('[data-do="choose"]');
  if (go) go.disabled = stage.busy || !stage.ready || !chosen();
  element.querySelectorAll('[data-do="undo"], [data-do="finish"]').forEach((button) => { button.disabled = stage.busy; });
  if (stage.root) stage.root.setAttribute('aria-busy', String(stage.busy));
}

function wait(busy) {
  stage.busy = busy;
  clearTimeout(stage.slow);
  if (busy) stage.slow = setTimeout(() => { wait(false); speak('slow'); }, SLOW_MS);
  refresh();
}

function send(event, data) {
  if (stage.busy) return;
  wait(true);
  trigger(event, data || {});
}

function confirmChoice() {
  const input = chosen();
  if (!input || !stage.ready || stage.busy) return;
  tick();
  const choice = input.value === 'none' ? null : input.value;
  send('choose', {ticket: stage.ticket, choice: choice, dwell_ms: Math.round(stage.spent)});
}

async function fetchAhead(root) {
  for (const address of (root.dataset.more || '').split(' ').filter(Boolean)) {
    if (!root.isConnected) return;
    if (fetched.has(address)) continue;
    fetched.add(address);
    await new Promise((done) => { const image = new Image(); image.onload = image.onerror = done; image.src = address; });
  }
}

async function show() {
  const root = one('.st');
  if (!root || root === stage.root) return;
  const first = stage.root === null;
  clock(false);
  Object.assign(stage, {root: root, ready: false});
  wait(false);
  if (root.dataset.ticket !== stage.ticket || !stage.ticket) stage.spent = 0;
  stage.ticket = root.dataset.ticket;
  const heading = one('.st-ask');
  if (heading && !first) heading.focus({preventScroll: true});
  if (!first && element.getBoundingClientRect().top < 0) element.scrollIntoView({block: 'start'});
  try {
    await Promise.all(Array.from(root.querySelectorAll('.st-panel img'), (image) => {
      fetched.add(image.getAttribute('src'));
      return image.decode();
    }));
  } catch (error) {
    if (root === stage.root) speak('picture');
    return;
  }
  if (root !== stage.root) return;
  root.classList.add('ready');
  stage.ready = true;
  tick();
  refresh();
  fetchAhead(root);
}

function copy(button) {
  const said = () => { button.textContent = words().copied; };
  const select = () => getSelection().selectAllChildren(one('.st-letters output'));
  if (navigator.clipboard) navigator.clipboard.writeText(button.dataset.code).then(said, select);
  else select();
}

function act(button) {
  const dialog = one('.st-dialog');
  switch (button.dataset.do) {
    case 'choose': return confirmChoice();
    case 'undo': return send('undo', {ticket: stage.ticket});
    case 'finish': return send('finish');
    case 'again': return send('again');
    case 'withdraw': dialog.close(); return send('withdraw');
    case 'results': return trigger('results');
    case 'copy': return copy(button);
    case 'close': return dialog.close();
    case 'open':
      one('.st-code').hidden = false;
      one('.st-sure').hidden = true;
      return dialog.showModal();
    case 'ask-withdraw':
      one('.st-code').hidden = true;
      one('.st-sure').hidden = false;
      return one('.st-sure [data-do="close"]').focus();
  }
}

element.addEventListener('change', (event) => { if (event.target.closest('.st-choices')) refresh(); });
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button && element.contains(button) && !button.disabled) act(button);
});

function keys(event) {
  if (!element.isConnected) return document.removeEventListener('keydown', keys);
  const modified = event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented;
  const typing = event.target.closest('input:not(.st-choices input), textarea, select, [contenteditable="true"]');
  if (modified || typing || !onScreen() || one('dialog[open]') || !one('.st-choices')) return;
  if (/^[0-9]$/.test(event.key)) {
    const inputs = element.querySelectorAll('.st-cards input');
    const input = event.key === '0' ? one('.st-none input') : inputs[Number(event.key) - 1];
    if (!input || stage.busy) return;
    event.preventDefault();
    input.checked = true;
    input.focus({preventScroll: true});  // or Enter would press whatever was clicked last
    refresh();
  } else if (event.key === 'Enter' && !event.target.closest('button, a, summary')) {
    event.preventDefault();
    confirmChoice();
  }
}
document.addEventListener('keydown', keys);
document.addEventListener('visibilitychange', tick);
// Reloading in the middle of a run, also after the server came back, returns to it (BACK_TO_RUN in vote_tab.py).
window.addEventListener('pagehide', () => {
  const going = onScreen() && one('.st[data-kind="trial"], .st[data-kind="check"], .st[data-kind="review"]');
  try { sessionStorage[going ? 'setItem' : 'removeItem']('styleidentity-voting', '1'); } catch (error) { /* not kept */ }
});
new IntersectionObserver(tick).observe(element);
element.addEventListener('vote-failed', () => { wait(false); speak('failed'); });
watch('value', show);
show();
