// The table of predictions: filters, pages, and an answer in its context. report/browser.py says
// how the data is laid out. All of it is text that others wrote: it is never read as HTML.
const ROWS_PER_PAGE = 25;
const RIGHT = 0;
const numbers = new Intl.NumberFormat(document.documentElement.lang);

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => numbers.format(values[name]));

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// a text in its own direction, whatever marks of direction it holds
const isolated = (text) => element("bdi", {}, text);

// where whole words of the context say the text: over a reference if they do so there
function placeOf(text, context, references) {
  if (!text) return [];
  const words = text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+");
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])${words}(?![\\p{L}\\p{N}])`, "giu");
  const found = [...context.matchAll(pattern)].map((m) => [m.index, m.index + m[0].length]);
  const over = ([start, end]) => references.some(([from, to]) => start < to && from < end);
  return [found.find(over) ?? found[0]].filter(Boolean);
}

// the context, cut wherever a marked span begins or ends; `marks` maps a kind to its spans
function markedContext(context, marks) {
  const spans = Object.values(marks).flat();
  const cuts = [...new Set([0, context.length, ...spans.flat()])].sort((a, b) => a - b);
  return cuts.slice(1).map((end, i) => {
    const inside = ([from, to]) => from <= cuts[i] && end <= to;
    const kinds = Object.keys(marks).filter((kind) => marks[kind].some(inside));
    const text = context.slice(cuts[i], end);
    return kinds.length ? element("mark", { class: kinds.join(" ") }, text) : text;
  });
}

class Predictions {
  constructor(root) {
    const data = JSON.parse(document.getElementById(root.dataset.predictions).textContent);
    const keys = ["id", "article", "context", "text", "references", "answers"];
    const named = (row) => Object.fromEntries(keys.map((key, i) => [key, row[i]]));
    Object.assign(this, data, { root, page: 0, form: root.querySelector("form") });
    this.questions = data.questions.map((row, place) => ({ ...named(row), place }));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.show(0));
    this.button("previous").addEventListener("click", () => this.show(this.page - 1));
    this.button("next").addEventListener("click", () => this.show(this.page + 1));
    this.show(0);
  }

  button(name) {
    return this.root.querySelector(`button[name=${name}]`);
  }

  chosen(name) {
    return this.form.elements[name]?.value ?? "";
  }

  // [text, F1, outcome] of the run chosen in a menu, or undefined
  answer(question, menu) {
    const run = this.chosen(menu);
    return run === "" ? undefined : question.answers[this.given[run][question.place]];
  }

  matches(question, wanted) {
    const first = this.answer(question, "first");
    const second = this.answer(question, "second");
    const [one, other] = [first, second].map((answer) => answer?.[2] === RIGHT);
    const outcomes = {
      all: true,
      right: one,
      wrong: !one,
      first_only: one && !other,
      second_only: other && !one,
      different: first?.[0] !== second?.[0],
    };
    if (!outcomes[this.chosen("outcome")]) return false;
    if (this.chosen("class") && first?.[2] !== Number(this.chosen("class"))) return false;
    const texts = [question.text, this.articles[question.article], first?.[0], second?.[0]];
    texts.push(...question.references.map(([text]) => text));
    return texts.join("\n").toLowerCase().includes(wanted);
  }

  show(page) {
    const wanted = this.chosen("text").trim().toLowerCase();
    const found = this.questions.filter((question) => this.matches(question, wanted));
    const pages = Math.max(1, Math.ceil(found.length / ROWS_PER_PAGE));
    this.page = Math.min(Math.max(page, 0), pages - 1);
    const start = this.page * ROWS_PER_PAGE;
    const rows = found.slice(start, start + ROWS_PER_PAGE).map((question) => this.row(question));
    this.root.querySelector("tbody").replaceChildren(...(rows.length ? rows : [this.nothing()]));
    this.showNames();
    this.say("[role=status]", { shown: found.length, all: this.questions.length });
    this.say("nav span", { page: this.page + 1, pages });
    this.button("previous").disabled = this.page === 0;
    this.button("next").disabled = this.page === pages - 1;
  }

  say(selector, values) {
    const place = this.root.querySelector(selector);
    place.textContent = filled(place.dataset.text, values);
  }

  name(menu) {
    return this.names[this.chosen(menu)] ?? "";
  }

  showNames() {
    for (const head of this.root.querySelectorAll("[data-answerer]")) {
      head.replaceChildren(isolated(this.name(head.dataset.answerer)));
      head.hidden = !this.name(head.dataset.answerer);
    }
  }

  nothing() {
    const cell = element("td", { role: "cell", colspan: 4 }, this.root.dataset.nothing);
    return element("tr", { role: "row" }, cell);
  }

  row(question) {
    const open = element("button", { type: "button", "aria-expanded": "false" });
    open.append(isolated(question.text));
    const texts = [...new Set(question.references.map(([text]) => text))];
    const references = texts.flatMap((text, i) => (i ? [" · ", isolated(text)] : [isolated(text)]));
    const row = element("tr", { role: "row" },
      element("th", { role: "rowheader", scope: "row" }, open),
      element("td", { role: "cell", "data-label": this.heading(1) }, ...references));
    for (const menu of ["first", "second"]) if (this.name(menu)) row.append(this.cell(question, menu));
    open.addEventListener("click", () => this.toggle(question, row, open));
    return row;
  }

  heading(column) {
    return this.root.querySelectorAll("thead th")[column].textContent;
  }

  cell(question, menu) {
    const cell = element("td", { role: "cell", "data-label": this.name(menu) });
    const answer = this.answer(question, menu);
    if (!answer) return cell.append("–"), cell;
    const [text, f1, outcome] = answer;
    const sign = element("span", { class: outcome === RIGHT ? "right" : "wrong", "aria-hidden": "true" });
    sign.append(outcome === RIGHT ? "✓" : "✗");
    const remark = [this.outcomes[outcome]];
    if (outcome !== RIGHT) remark.push(`${this.root.dataset.f1} ${numbers.format(f1)}`);
    cell.append(sign, " ", isolated(text || this.root.dataset.empty));
    cell.append(element("small", {}, remark.join(" · ")));
    return cell;
  }

  toggle(question, row, open) {
    const isOpen = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) row.nextElementSibling.remove();
    else row.after(element("tr", { role: "row", class: "context" }, this.detail(question)));
  }

  // the article, the context with its marks, and what the marks mean
  detail(question) {
    const cell = element("td", { role: "cell", colspan: 4 });
    cell.append(element("p", { class: "source" }, isolated(this.articles[question.article]), " · ", isolated(question.id)));
    const context = this.contexts[question.context];
    if (context === undefined) return cell;
    const marks = { reference: question.references.filter(([, start]) => start >= 0) };
    marks.reference = marks.reference.map(([text, start]) => [start, start + text.length]);
    for (const menu of ["first", "second"]) {
      const text = this.answer(question, menu)?.[0] ?? "";
      marks[menu] = placeOf(text, context, marks.reference);
    }
    const names = { reference: this.heading(1), first: this.name("first"), second: this.name("second") };
    const meant = Object.keys(marks).filter((kind) => marks[kind].length);
    const legend = meant.map((kind) => element("mark", { class: kind }, isolated(names[kind])));
    cell.append(element("p", { dir: "auto" }, ...markedContext(context, marks)));
    cell.append(element("p", { class: "legend" }, ...legend));
    return cell;
  }
}

for (const root of document.querySelectorAll("[data-predictions]")) new Predictions(root);
