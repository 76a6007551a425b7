// The pages' only script. It puts arriving fragments in place, updates times, and sends on Ctrl+Enter.
// Every page is readable without it. It keeps no state: all state is in the server and in the page.
"use strict";

// Times

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
let ahead = 0; // milliseconds that this clock is ahead of the server's clock

function span(seconds, parts) {
  const total = Math.max(0, Math.floor(seconds));
  const found = UNITS.findIndex(([size]) => total >= size);
  const at = found < 0 ? UNITS.length - 1 : found;
  const [size, unit] = UNITS[at];
  const rest = parts > 1 && at < 3 ? Math.floor((total % size) / UNITS[at + 1][0]) : 0;
  return `${Math.floor(total / size)} ${unit}` + (rest ? ` ${rest} ${UNITS[at + 1][1]}` : "");
}

function ticked(kind, seconds) {
  switch (kind) {
    case "since": return span(seconds, 2);
    case "until": return seconds < 0 ? `in ${span(1 - seconds, 2)}` : "now";
    case "ago": return seconds < 5 ? "just now" : `${span(seconds, 1)} ago`;
  }
  return null;
}

function tick(root) {
  const now = Date.now() - ahead;
  for (const time of root.querySelectorAll("time[data-tick]")) {
    const text = ticked(time.dataset.tick, (now - Date.parse(time.dateTime)) / 1000);
    if (text !== null && time.textContent !== text) time.textContent = text;
  }
}

// Fragments: each element has an id. It replaces the element with that id; a new one goes into `data-into`, sorted by
// `data-order`. So fragments may arrive repeatedly and in any order, and the page is the same.

const KEEP = {
  beforeAttributeUpdated(name, node) {
    // Details that a person has opened or closed stay that way.
    if (name === "open" && node.nodeName === "DETAILS") return false;
  },
  beforeNodeMorphed(old, fresh) {
    if (old.nodeType === 1 && old.isEqualNode(fresh)) return false;
  },
};

function place(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const fresh of [...template.content.children]) {
    if (fresh.dataset.remove) document.getElementById(fresh.dataset.remove)?.remove();
    else if (fresh.dataset.append) append(fresh);
    else put(fresh);
  }
}

function put(fresh) {
  const known = document.getElementById(fresh.id);
  if (known && "once" in fresh.dataset) return;
  if (known) {
    Idiomorph.morph(known, fresh, { morphStyle: "outerHTML", ignoreActiveValue: true, callbacks: KEEP });
  } else {
    const into = document.getElementById(fresh.dataset.into);
    if (!into) return;
    const order = Number(fresh.dataset.order);
    let after = into.lastElementChild;
    while (after && Number(after.dataset.order) > order) after = after.previousElementSibling;
    if (after) after.after(fresh);
    else into.prepend(fresh);
  }
  const placed = document.getElementById(fresh.id);
  if (!placed) return;
  htmx.process(placed);
  tick(placed);
}

// Streamed text: adds a delta only if its offset matches the current text; deltas that are already here are skipped.
function append(delta) {
  const target = document.getElementById(delta.dataset.append);
  const length = Number(target?.dataset.length);
  if (!target || length !== Number(delta.dataset.offset)) return;
  target.append(delta.textContent);
  target.normalize();
  target.dataset.length = length + Number(delta.dataset.length);
}

// The page's only stream. A hidden page closes it, so that many open pages do not use up the browser's connections.
// When the page is shown again, it sends the versions it has and catches up.

function watch(main) {
  const offline = document.getElementById("offline");
  let versions = main.dataset.versions, source = null, retry = 0, timer = 0;

  function open() {
    if (source || document.hidden) return;
    const url = new URL(main.dataset.live, location.href);
    url.searchParams.set("have", versions);
    source = new EventSource(url);
    source.addEventListener("open", () => { retry = 0; offline.hidden = true; });
    source.addEventListener("fragments", (event) => {
      const end = atEnd();
      place(event.data);
      versions = event.lastEventId || versions;
      if (end) toEnd();
    });
    source.addEventListener("clock", (event) => { ahead = Date.now() - Number(event.data); tick(document); });
    source.addEventListener("leave", (event) => {
      close();
      if (main.dataset.back) return location.replace(main.dataset.back); // a reload could send a form again
      if (event.data === "access") history.replaceState(null, "", location.pathname + location.search + "#left");
      location.reload();
    });
    source.addEventListener("error", () => {
      close();
      retry += 1;
      if (retry > 1) offline.hidden = false;
      timer = setTimeout(open, Math.min(500 * 2 ** retry, 10000));
    });
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
}

// Keeps scrolling to the end of a transcript while the person is at the end.

const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 120;
const toEnd = () => { if (document.getElementById("transcript")) scrollTo(0, document.documentElement.scrollHeight); };

// Forms

document.addEventListener("keydown", (event) => {
  const box = event.target;
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || box.nodeName !== "TEXTAREA" || !box.form) return;
  event.preventDefault();
  if (box.value.trim()) box.form.requestSubmit();
});

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!("busyReadonly" in event.target.dataset)) return;
  for (const box of event.target.querySelectorAll("textarea")) box.readOnly = true;
});

document.addEventListener("htmx:afterRequest", (event) => {
  for (const box of event.target.querySelectorAll?.("textarea") ?? []) box.readOnly = false;
  if (!event.detail.failed || event.detail.xhr.status) return;
  const flash = document.getElementById("flash");
  if (flash) flash.innerHTML = '<div class="failure" role="alert"><p class="what">Foundry did not answer.</p><p class="remedy">What you typed is still here. Try again in a moment. Nothing is done twice.</p></div>';
});

document.addEventListener("htmx:afterSettle", (event) => tick(event.detail.elt.parentElement ?? document));

document.addEventListener("toggle", (event) => {
  // A menu closes on a click outside it.
  const menu = event.target;
  if (!menu.matches?.("details.menu[open]")) return;
  const away = (click) => { if (!menu.contains(click.target)) { menu.open = false; document.removeEventListener("click", away); } };
  setTimeout(() => document.addEventListener("click", away));
}, true);

document.addEventListener("DOMContentLoaded", () => {
  tick(document);
  setInterval(() => tick(document), 1000);
  const main = document.querySelector("[data-live]");
  if (main && "EventSource" in window) watch(main);
  if (!location.hash && document.querySelector("#transcript .entry")) toEnd();
});
