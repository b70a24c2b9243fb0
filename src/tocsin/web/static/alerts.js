// The queue: rows arrive and change as it happens, but nothing moves under the pointer; keys work on the chosen row.

import { csrf, refreshTimes, toast, typing } from "./console.js";

const queue = document.getElementById("queue");
const fresh = document.getElementById("fresh");
const live = document.getElementById("live");
const empty = document.getElementById("empty");
const paged = new URLSearchParams(location.search).has("cursor");
const held = new Map();

function rowOf(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
}

function shown(id) {
  return queue.querySelector(`[data-id="${CSS.escape(id)}"]`);
}

function selected() {
  return queue.querySelector(".is-selected");
}

// Somebody who points at a row, has chosen one or has scrolled down is reading: new rows wait until they are asked for.
function reading() {
  return queue.matches(":hover") || selected() !== null || scrollY > 120;
}

function arrive(alert) {
  const row = rowOf(alert.html);
  const known = shown(alert.id);
  if (known) {
    if (known.classList.contains("is-selected")) row.classList.add("is-selected");
    if (known.contains(document.activeElement)) requestAnimationFrame(() => row.querySelector("a").focus());
    known.replaceWith(row);
  } else if (alert.matches && !paged) {
    held.set(alert.id, row);
    if (reading()) announce();
    else release();
  }
}

function announce() {
  fresh.hidden = held.size === 0;
  fresh.textContent = `${held.size} new alert${held.size === 1 ? "" : "s"}`;
}

function release() {
  for (const row of held.values()) {
    row.classList.add("is-new");
    queue.prepend(row);
  }
  held.clear();
  empty.hidden = queue.children.length > 0;
  refreshTimes(queue);
  announce();
}

function count(counts) {
  for (const [name, number] of Object.entries(counts))
    for (const place of document.querySelectorAll(`[data-count="${name}"]`)) place.textContent = number;
}

function listen() {
  const query = new URLSearchParams(location.search);
  query.set("since", queue.dataset.since);
  const stream = new EventSource(`/alerts/stream?${query}`);
  stream.addEventListener("alert", (event) => arrive(JSON.parse(event.data)));
  stream.addEventListener("counts", (event) => count(JSON.parse(event.data)));
  stream.addEventListener("open", () => say(true, "Live"));
  stream.addEventListener("error", () => say(false, "Reconnecting"));
  addEventListener("pagehide", () => stream.close());
}

function say(on, text) {
  live.classList.toggle("on", on);
  live.textContent = text;
}

function choose(row) {
  if (!row) return;
  selected()?.classList.remove("is-selected");
  row.classList.add("is-selected");
  row.querySelector("a").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const rows = [...queue.children];
  const at = rows.indexOf(selected());
  choose(rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + step))]);
}

async function acknowledge(row) {
  const answer = await fetch(`/api/v1/alerts/${row.dataset.id}/acknowledge`, {
    method: "POST",
    headers: { "x-csrf-token": csrf() },
  });
  toast(answer.ok ? "Acknowledged" : (await answer.json()).detail);
}

document.addEventListener("keydown", (event) => {
  if (typing(event)) return;
  const row = selected();
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "Escape") selected()?.classList.remove("is-selected");
  else if (event.key === "a" && row) acknowledge(row);
  else if (event.key === "x" && row) location.href = `/alerts/${row.dataset.id}#close`;
});

fresh.addEventListener("click", release);
listen();
