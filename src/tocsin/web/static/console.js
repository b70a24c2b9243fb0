// What every page does: relative times, copy buttons, JSON in colour, keys, forms that submit themselves.

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]];

export function ago(then, now = Date.now()) {
  const passed = now - then;
  if (passed < 5_000) return "just now";
  const [unit, length] = UNITS.find(([, ms]) => passed >= ms);
  return `${Math.floor(passed / length)} ${unit} ago`;
}

export function refreshTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-ago]")) time.textContent = ago(Date.parse(time.dateTime));
}

export function csrf() {
  return document.querySelector("meta[name=csrf]").content;
}

export function toast(text) {
  document.querySelector(".toast")?.remove();
  const note = Object.assign(document.createElement("div"), { className: "toast", textContent: text, role: "status" });
  document.body.append(note);
  setTimeout(() => note.remove(), 2_600);
}

export function typing(event) {
  return event.target.closest("input, textarea, select, [contenteditable]") || event.metaKey || event.ctrlKey || event.altKey;
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(-?\d+(?:\.\d+)?|true|false|null)\b|([{}[\],]+)/g;

function colour(pre) {
  if (pre.dataset.coloured) return;
  pre.dataset.coloured = "yes";
  const text = pre.textContent;
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [whole, string, colon, literal] = found;
    const kind = string ? (colon ? "k" : "s") : literal ? "n" : "p";
    const span = Object.assign(document.createElement("span"), { className: kind, textContent: string ?? whole });
    parts.push(text.slice(end, found.index), span, colon ?? "");
    end = found.index + whole.length;
  }
  pre.replaceChildren(...parts, text.slice(end));
}

document.addEventListener("toggle", (event) => {
  if (event.target.open) event.target.querySelectorAll("[data-json]").forEach(colour);
}, true);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  toast("Copied");
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("keydown", (event) => {
  if (typing(event)) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.matches("input")) target.select();
  target.matches("input") ? target.focus() : target.click();
});

if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
setInterval(refreshTimes, 10_000);
