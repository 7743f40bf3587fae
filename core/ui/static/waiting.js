// Puts Gradio's "queue: 2/5 | 12.3/40.0s" into plain words. The words go into an attribute that the style sheet shows,
// so that Gradio's own text stays as it writes it.
(() => {
  const spoken = JSON.parse(document.getElementById('si-waiting').textContent);
  const texts = spoken[document.documentElement.lang] || spoken.en;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  const duration = (seconds) => {
    if (seconds < 50) return fill(texts.seconds, { count: Math.max(5, Math.round(seconds / 5) * 5) });
    const minutes = Math.max(1, Math.round(seconds / 60));
    return minutes === 1 ? texts.minute : fill(texts.minutes, { count: minutes });
  };

  const inWords = (text) => {
    const place = text.match(/queue: (\d+)\/(\d+) \|/);
    const time = text.match(/([\d.]+)\/([\d.]+)s\s*$/);
    const left = time ? Math.max(0, time[2] - time[1]) : null;
    if (!place && !/processing \|/.test(text)) return '';
    const where = !place
      ? texts.working
      : Number(place[1]) === 1 ? texts.next : fill(texts.place, { place: place[1], size: place[2] });
    return left === null ? where : `${where} ${duration(left)}`;
  };

  // A step's share goes: its bar shows it, where it is known.
  const withoutShare = (text) => (text.match(/^\s*(.*?)\s+-\s+[\d.]+%\s*$/s) || [])[1] || '';

  const LINES = '.progress-text, .progress-level-inner';
  const rewrite = (node) => {
    const line = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node)?.closest?.(LINES);
    if (!line) return;
    const text = line.matches('.progress-text') ? inWords(line.textContent) : withoutShare(line.textContent);
    if (text) {
      if (line.dataset.words !== text) line.dataset.words = text;
    } else if (line.dataset.words) {
      delete line.dataset.words;
    }
  };

  const watch = () => new MutationObserver((changes) => {
    for (const change of changes) {
      rewrite(change.target);
      for (const node of change.addedNodes) {
        rewrite(node);
        node.querySelectorAll?.(LINES).forEach(rewrite);
      }
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });

  if (document.body) watch();
  else document.addEventListener('DOMContentLoaded', watch);
})();
