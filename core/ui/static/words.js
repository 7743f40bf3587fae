// Puts the page's own words in the place of texts and labels that Gradio has in English only. Our own HTML is left alone.
(() => {
  const spoken = JSON.parse(document.getElementById('si-words').textContent);
  const {texts, labels} = spoken[document.documentElement.lang] || spoken.en;
  const LABELLED = ['aria-label', 'title'];
  const trimmed = Object.fromEntries(Object.entries(texts).map(([theirs, ours]) => [theirs.trim(), ours]));
  const patterns = Object.entries(labels).filter(([theirs]) => theirs.includes('{')).map(([theirs, ours]) => {
    const names = [...theirs.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const pattern = theirs.replace(/[.*+?^$()[\]\\|]/g, '\\$&').replace(/\{\w+\}/g, '(.+)');
    return {pattern: new RegExp(`^${pattern}$`, 's'), names, ours};
  });

  const label = (text) => {
    if (Object.hasOwn(labels, text)) return labels[text];
    for (const {pattern, names, ours} of patterns) {
      const found = text.match(pattern);
      if (found) return ours.replace(/\{(\w+)\}/g, (_, name) => found[names.indexOf(name) + 1]);
    }
    return text;
  };
  const ofOurs = (element) => !element || element.closest('.html-container');

  const rewriteText = (node) => {
    const ours = trimmed[node.data.trim()];
    if (ours && ours !== node.data && !ofOurs(node.parentElement)) node.data = ours;
  };
  const rewriteLabels = (element) => {
    for (const name of LABELLED) {
      const theirs = element.getAttribute(name);
      const ours = theirs && label(theirs);
      if (ours && ours !== theirs && !ofOurs(element)) element.setAttribute(name, ours);
    }
  };
  const rewrite = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return rewriteText(node);
    if (node.nodeType !== Node.ELEMENT_NODE || ofOurs(node)) return;
    rewriteLabels(node);
    node.querySelectorAll('[aria-label], [title]').forEach(rewriteLabels);
    const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) rewriteText(walker.currentNode);
  };

  const watch = () => {
    rewrite(document.body);
    new MutationObserver((changes) => {
      for (const change of changes) {
        if (change.type === 'attributes') rewriteLabels(change.target);
        else if (change.type === 'characterData') rewriteText(change.target);
        else change.addedNodes.forEach(rewrite);
      }
    }).observe(document.body, {
      subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: LABELLED,
    });
  };
  if (document.body) watch();
  else document.addEventListener('DOMContentLoaded', watch);
})();
