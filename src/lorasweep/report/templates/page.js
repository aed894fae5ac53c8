
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
for (const box of document.querySelectorAll("[data-chart]")) {
  const spec = JSON.parse(document.getElementById(box.dataset.chart).textContent);
  // the interpreter (ast) lets the page forbid evaluated code; SVG takes the page's text colour
  vegaEmbed(box, spec, {
    renderer: "svg",
    actions: false,
    ast: true,
    tooltip: { theme: dark ? "dark" : "light" },
  })
    .then(() => JSON.stringify(spec).includes('"bind":"legend"') && legendByKeyboard(box))
    .catch((error) => console.error(error));
}

// entries of a legend that a click chooses can be chosen by Enter and Space too
function legendByKeyboard(box) {
  for (const entry of box.querySelectorAll(".role-legend-label text")) {
    entry.setAttribute("tabindex", "0");
    entry.setAttribute("role", "button");
    entry.setAttribute("aria-label", entry.textContent);
    entry.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      entry.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    });
  }
}

// a click on a heading sorts by its column: numbers from the largest, texts from the first; a
// second click turns the order round, a third one brings back the order of the page
const FEWEST_ROWS = 3;
for (const table of document.querySelectorAll(".scroll table")) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < FEWEST_ROWS) continue;
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, rows, head));
  }
}

function sort(table, rows, head) {
  const values = new Map(rows.map((row) => [row, valueOf(row.cells[head.cellIndex])]));
  const known = rows.filter((row) => values.get(row) !== null);
  const isNumeric = known.some((row) => typeof values.get(row) === "number");
  const orders = isNumeric ? ["descending", "ascending"] : ["ascending", "descending"];
  const next = [...orders, null][orders.indexOf(head.getAttribute("aria-sort")) + 1];
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  if (next) head.setAttribute("aria-sort", next);
  const turn = next === "descending" ? -1 : 1;
  const sorted = known.toSorted((a, b) => turn * compare(values.get(a), values.get(b)));
  // what was not measured stays below, whichever way the others stand
  const missing = rows.filter((row) => values.get(row) === null);
  table.tBodies[0].append(...(next ? [...sorted, ...missing] : rows));
}

function valueOf(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  return text === "–" ? null : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), document.documentElement.lang, { numeric: true });
}

// the contents are folded where they would push the report away, and follow the reader elsewhere
const contents = document.querySelector(".contents");
const narrow = matchMedia("(max-width: 63.99rem)");
const fold = () => { contents.open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();
const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = links.get(target.id);
    link.setAttribute("aria-current", "location");
    const box = link.closest("nav");
    if (!narrow.matches) box.scrollTop = link.offsetTop - box.clientHeight / 2;
  }
}, { rootMargin: "-20% 0px -75% 0px" });
for (const section of document.querySelectorAll("main > section")) seen.observe(section);
