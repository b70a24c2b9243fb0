// The query bar completes attribute names.

const input = document.getElementById("q");
const list = document.getElementById("suggest");
const MOST = 12;
let fields = null;
let offered = [];
let at = 0;

function known() {
  fields ??= fetch("/search/fields.json").then((answer) => answer.json());
  return fields;
}

// The word before the caret, unless the caret is inside a quoted value.
function word() {
  const before = input.value.slice(0, input.selectionStart);
  if ((before.split("'").length - 1) % 2) return "";
  return before.match(/[a-z_][a-z0-9_.]*$/i)?.[0] ?? "";
}

async function suggest() {
  const all = await known();
  // Read after the wait: meanwhile more may have been typed.
  const typed = word().toLowerCase();
  if (typed.length < 2) return hide();
  const starts = all.filter(([path]) => path.startsWith(typed) && path !== typed);
  const inside = all.filter(([path]) => path.includes(typed) && !path.startsWith(typed));
  offered = [...starts, ...inside].slice(0, MOST);
  at = -1;
  draw();
}

function draw() {
  list.hidden = offered.length === 0;
  list.replaceChildren(...offered.map(([path, meaning], n) => {
    const item = document.createElement("li");
    item.role = "option";
    item.ariaSelected = String(n === at);
    const name = Object.assign(document.createElement("code"), { textContent: path });
    item.append(name, Object.assign(document.createElement("span"), { textContent: meaning }));
    item.addEventListener("mousedown", (event) => { event.preventDefault(); take(n); });
    return item;
  }));
  list.children[at]?.scrollIntoView({ block: "nearest" });
}

function hide() {
  offered = [];
  list.hidden = true;
}

function take(n) {
  const caret = input.selectionStart;
  input.setRangeText(offered[n][0], caret - word().length, caret, "end");
  hide();
}

input.addEventListener("input", suggest);
input.addEventListener("blur", hide);
input.addEventListener("keydown", (event) => {
  if (offered.length === 0) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    at = (at + (event.key === "ArrowDown" ? 1 : -1) + offered.length) % offered.length;
    draw();
  } else if ((event.key === "Tab" || event.key === "Enter") && at >= 0) {
    event.preventDefault();
    take(at);
  } else if (event.key === "Tab" && !event.shiftKey) {
    event.preventDefault();
    take(0);
  } else if (event.key === "Escape") {
    event.stopPropagation();
    hide();
  }
});

// A span picked in the histogram has no name in the list; searching again must not lose it.
document.getElementById("search").addEventListener("submit", () => {
  const last = document.getElementById("last");
  if (last.value !== "") return;
  const current = new URLSearchParams(location.search);
  last.disabled = true;
  for (const name of ["from", "to"]) {
    const kept = Object.assign(document.createElement("input"), { type: "hidden", name, value: current.get(name) ?? "" });
    last.form.append(kept);
  }
});
