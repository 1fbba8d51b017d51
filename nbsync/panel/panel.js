/* nbsync's panel. The kernel holds the rows and decides; this shows a window of them and sends commands.
 *
 * Whatever comes from a bucket, a disk or a server is put into the page as text (textContent, value), never as
 * markup. Nothing is loaded from anywhere. */

const ROW = 28; // pixels, as in panel.css
const HEAD = 32;
const [SHORT, TALL] = [116, HEAD + 12.5 * ROW]; // of the table
const TALLEST = 6_000_000; // pixels; beyond that, browsers stop, and the scroll bar stands for more rows than pixels
const MARGIN = 60; // rows that are asked for above and below those in view
const PATIENCE = 4000; // milliseconds without an answer, until it is said that the kernel is busy
const LISTED = 200; // objects of a folder that the tree shows
const BUSY = ["planning", "applying"];
const COLUMNS = [["status", "Status"], ["path", "Path"], ["size", "Size"], ["reason", "Why"]];
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  bucket: "M2.5 4h11l-1.3 9.2a1 1 0 0 1-1 .8H4.8a1 1 0 0 1-1-.8zM2.5 4c0-1.1 2.5-2 5.5-2s5.5.9 5.5 2-2.5 2-5.5 2-5.5-.9-5.5-2z",
  folder: "M1.5 4a1 1 0 0 1 1-1h3.6l1.6 1.7h5.8a1 1 0 0 1 1 1V12a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1z",
  file: "M4 2h5l3.5 3.5V14H4zM9 2v3.5h3.5",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.3 10.3l3.7 3.7",
};
let views = 0;

/** An element with properties, attributes (names with a dash, and role) and children; text children stay text. */
function make(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "list") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "nbp-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function later(milliseconds, act) {
  let timer = 0;
  const planned = (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => { timer = 0; act(...args); }, milliseconds);
  };
  planned.now = (...args) => { clearTimeout(timer); timer = 0; act(...args); };
  planned.pending = () => timer !== 0;
  planned.stop = () => { clearTimeout(timer); timer = 0; };
  return planned;
}

const count = (number) => number.toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes / 1000;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    if (value < 999.95) return `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} PB`;
}

/** The line to the kernel: commands out, answers in, and whether it is heard of at all. */
class Line {
  constructor(model, name, onSilence) {
    this.model = model;
    this.name = name;
    this.waiting = 0;
    this.onSilence = onSilence;
  }

  send(command, more = {}) {
    this.model.send({ do: command, view: this.name, ...more });
    if (!this.waiting) this.waiting = setTimeout(() => this.onSilence(true), PATIENCE);
  }

  heard() {
    clearTimeout(this.waiting);
    this.waiting = 0;
    this.onSilence(false);
  }
}

/** Fields that follow a trait, and send what is typed after a moment. */
class Fields {
  constructor(model, line) {
    this.model = model;
    this.line = line;
    this.senders = [];
  }

  text(name, label, props = {}) {
    const id = `${this.line.name}-${name}`;
    const input = make("input", { type: "text", id, className: "nbp-input", spellcheck: false, autocomplete: "off", ...props });
    const send = later(350, () => this.set(name, input.value));
    this.senders.push(send);
    input.addEventListener("input", () => send());
    input.addEventListener("change", () => send.now());
    const follow = () => {
      if (!send.pending() && input.value !== this.model.get(name)) input.value = this.model.get(name);
    };
    this.model.on(`change:${name}`, follow);
    follow();
    return { input, label: make("label", { for: id, className: "nbp-label" }, label), follow };
  }

  set(name, value) {
    if (JSON.stringify(this.model.get(name)) !== JSON.stringify(value)) this.line.send("set", { name, value });
  }

  /** Send what was typed and not sent yet, so that a command finds it. */
  flush() {
    for (const send of this.senders) if (send.pending()) send.now();
  }

  /** A list of suggestions for a field. */
  suggest(input, what, always = false) {
    const list = make("datalist", { id: `${input.id}-list` });
    input.setAttribute("list", list.id);
    const ask = later(250, () => this.line.send("suggest", { what, text: input.value }));
    input.addEventListener("input", (event) => { if (event.inputType !== "insertReplacementText") ask(); });
    input.addEventListener("focus", () => { if (always || !list.childElementCount) ask(); });
    return { list, fill: (options) => list.replaceChildren(...options.map((value) => make("option", { value }))) };
  }
}

/** The tree of buckets and folders, opened level by level. */
class Tree {
  constructor(model, line, choose) {
    this.model = model;
    this.line = line;
    this.choose = choose;
    this.items = new Map(); // path -> its group of children
    this.root = make("div", { role: "tree", className: "nbp-tree", "aria-label": "Buckets and folders", onkeydown: (event) => this.key(event) });
    this.element = make("div", { className: "nbp-browser", hidden: true }, this.root);
  }

  toggle(open) {
    this.element.hidden = !open;
    if (!open) return;
    this.items.clear();
    this.root.replaceChildren();
    this.items.set("", this.root);
    this.ask("");
  }

  ask(path, token = "") {
    const group = this.items.get(path);
    group.append(make("div", { className: "nbp-note", role: "none" }, "Looking …"));
    this.line.send("browse", { path, token });
  }

  /** A level has come, or the reason why it has not. */
  take(path, found, error) {
    const group = this.items.get(path);
    if (!group) return;
    for (const note of group.querySelectorAll(":scope > .nbp-note, :scope > .nbp-more")) note.remove();
    if (error) {
      if (path) this.items.delete(path); // opened again, it is asked for again
      group.append(make("div", { className: "nbp-note nbp-bad", role: "none" }, error));
      if (path === "") this.offerTyped(group);
      return this.rove();
    }
    const depth = path === "" ? 1 : path.split("/").length;
    for (const [name, shown] of found.folders) group.append(this.folder(path + name, shown, depth, path === ""));
    for (const [name, bytes] of found.objects.slice(0, LISTED)) group.append(this.object(name, bytes, depth));
    const hidden = found.objects.length - LISTED;
    if (hidden > 0) group.append(make("div", { className: "nbp-note", role: "none" }, `… and ${plural(hidden, "more object")}`));
    if (found.token) group.append(this.more(path, found.token, depth));
    if (!group.childElementCount) group.append(make("div", { className: "nbp-note", role: "none" }, path ? "empty" : "no buckets"));
    this.rove();
  }

  /** Who may not list buckets may still look into the one that is typed. */
  offerTyped(group) {
    const bucket = this.model.get("remote").replace(/^s3:\/\//, "").split("/")[0];
    if (bucket) group.append(this.folder(`${bucket}/`, `${bucket}/`, 1, true));
  }

  folder(path, shown, depth, isBucket) {
    const twisty = make("span", { className: "nbp-twisty", "aria-hidden": "true" });
    const line = make("div", { className: "nbp-node" }, twisty, icon(isBucket ? "bucket" : "folder"), make("span", { className: "nbp-name" }, shown));
    line.style.setProperty("--depth", depth - 1);
    const group = make("div", { role: "group", hidden: true });
    const item = make("div", { role: "treeitem", tabIndex: -1, "aria-level": depth, "aria-expanded": "false", "aria-label": shown }, line, group);
    item.path = path;
    item.open = (on) => {
      item.setAttribute("aria-expanded", String(on));
      group.hidden = !on;
      if (on && !this.items.has(path)) {
        this.items.set(path, group);
        this.ask(path);
      }
    };
    line.addEventListener("click", (event) => {
      item.open(item.getAttribute("aria-expanded") !== "true");
      if (!twisty.contains(event.target)) this.pick(item);
      this.focus(item);
    });
    return item;
  }

  object(name, bytes, depth) {
    const line = make("div", { className: "nbp-node nbp-object" }, make("span", { className: "nbp-twisty" }), icon("file"), make("span", { className: "nbp-name" }, name), make("span", { className: "nbp-amount" }, bytes));
    line.style.setProperty("--depth", depth - 1);
    return make("div", { role: "treeitem", tabIndex: -1, "aria-level": depth, "aria-label": `${name}, ${bytes}` }, line);
  }

  more(path, token, depth) {
    const line = make("div", { className: "nbp-node nbp-link" }, "Show more");
    line.style.setProperty("--depth", depth);
    const item = make("div", { role: "treeitem", className: "nbp-more", tabIndex: -1, "aria-level": depth, "aria-label": "Show more" }, line);
    item.act = () => this.ask(path, token);
    line.addEventListener("click", item.act);
    return item;
  }

  pick(item) {
    for (const other of this.root.querySelectorAll("[aria-selected]")) other.removeAttribute("aria-selected");
    item.setAttribute("aria-selected", "true");
    this.choose(`s3://${item.path}`);
  }

  visible() {
    return [...this.root.querySelectorAll("[role=treeitem]")].filter((item) => item.offsetParent !== null);
  }

  /** One item can be reached by Tab. */
  rove() {
    if (!this.root.querySelector("[tabindex='0']")) this.visible()[0]?.setAttribute("tabindex", "0");
  }

  focus(item) {
    for (const other of this.root.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    item.tabIndex = 0;
    item.focus();
  }

  key(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return;
    const all = this.visible();
    const at = all.indexOf(item);
    const open = item.getAttribute("aria-expanded");
    const go = (to) => { if (to) this.focus(to); };
    if (event.key === "ArrowDown") go(all[at + 1]);
    else if (event.key === "ArrowUp") go(all[at - 1]);
    else if (event.key === "Home") go(all[0]);
    else if (event.key === "End") go(all[all.length - 1]);
    else if (event.key === "ArrowRight" && open === "false") item.open(true);
    else if (event.key === "ArrowRight" && open === "true") go(all[at + 1]);
    else if (event.key === "ArrowLeft" && open === "true") item.open(false);
    else if (event.key === "ArrowLeft") go(item.parentElement.closest("[role=treeitem]"));
    else if (event.key === "Enter" || event.key === " ") {
      if (item.act) item.act();
      else if (item.path) this.pick(item);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** The table: a window of rows under a scroll bar that stands for all of them. */
class Grid {
  constructor(model, line) {
    this.model = model;
    this.line = line;
    this.cache = { order: -1, revision: -1, start: 0, rows: [] };
    this.asked = 0;
    this.active = -1; // position of the row that the keyboard is on
    this.most = 0;
    this.anchor = -1; // of the last row that was ticked
    this.rows = [];
    this.build();
    this.frame = 0;
    this.scroller.addEventListener("scroll", () => this.soon());
    this.scroller.addEventListener("keydown", (event) => this.key(event));
    this.observer = new ResizeObserver(() => this.soon());
    this.observer.observe(this.scroller);
  }

  build() {
    this.all = make("input", { type: "checkbox", tabIndex: 0, "aria-label": "Tick all rows shown", onchange: () => this.line.send("tick-shown", { on: this.all.checked }) });
    this.heads = COLUMNS.map(([name, label]) => make("div", { role: "columnheader", className: `nbp-cell nbp-${name}` },
      make("button", { type: "button", className: "nbp-sort", onclick: () => this.sort(name) }, label)));
    const head = make("div", { role: "row", className: "nbp-row nbp-head", "aria-rowindex": 1 },
      make("div", { role: "columnheader", className: "nbp-cell nbp-tick" }, this.all), ...this.heads);
    this.body = make("div", { className: "nbp-body", role: "rowgroup" });
    this.spacer = make("div", { className: "nbp-spacer", role: "presentation" }, this.body);
    this.scroller = make("div", { role: "grid", className: "nbp-grid", tabIndex: 0, "aria-label": "What is to be done, file by file", "aria-multiselectable": "true", "aria-colcount": 5 }, head, this.spacer);
    this.empty = make("div", { className: "nbp-empty" });
    this.element = make("div", { className: "nbp-frame" }, this.scroller, this.empty);
  }

  total() { return this.model.get("shown_rows"); }
  inView() { return Math.max(0, this.scroller.clientHeight - HEAD) / ROW; }

  /** The position of the topmost row, with the part of it that is scrolled away. */
  first() {
    const last = Math.max(0, this.total() - this.inView());
    const range = this.scroller.scrollHeight - this.scroller.clientHeight;
    const scaled = this.total() * ROW > TALLEST && range > 0;
    return Math.min(last, scaled ? (this.scroller.scrollTop / range) * last : this.scroller.scrollTop / ROW);
  }

  show(position) {
    const last = Math.max(1, this.total() - this.inView());
    const range = this.scroller.scrollHeight - this.scroller.clientHeight;
    const scale = this.total() * ROW > TALLEST ? range / last : ROW;
    const first = this.first();
    if (position < first) this.scroller.scrollTop = position * scale;
    else if (position + 1 > first + this.inView()) this.scroller.scrollTop = Math.ceil((position + 1 - this.inView()) * scale);
  }

  soon() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }

  paint() {
    const total = this.total();
    const sort = this.model.get("sort");
    // As tall as the most rows that were shown: it does not jump while one filters, nor while one plans again.
    this.most = this.model.get("total_rows") ? Math.max(this.most, total) : 0;
    if (this.most || !BUSY.includes(this.model.get("state"))) this.scroller.style.height = `${Math.min(TALL, Math.max(SHORT, HEAD + this.most * ROW))}px`;
    this.spacer.style.height = `${Math.min(total * ROW, TALLEST)}px`;
    this.body.style.height = `${Math.min(this.inView(), total) * ROW}px`;
    this.scroller.setAttribute("aria-rowcount", String(total + 1));
    COLUMNS.forEach(([name], at) => this.heads[at].setAttribute("aria-sort", sort[0] !== name ? "none" : sort[1] ? "descending" : "ascending"));
    this.paintAll();
    this.paintEmpty();
    if (!this.scroller.clientHeight) return;
    this.active = Math.min(this.active, total - 1);
    const first = this.first();
    const from = Math.floor(first);
    const shown = Math.min(Math.ceil(this.inView()) + 1, total - from);
    while (this.rows.length < shown) this.rows.push(this.row());
    const moving = new Map((this.model.get("progress").active || []).map((one) => [one.path, one.share]));
    this.rows.forEach((row, at) => this.fill(row, from + at, at < shown, moving));
    this.body.style.setProperty("--shift", `${-(first - from) * ROW}px`);
    const active = this.rows[this.active - from];
    if (active && this.active >= from && this.active < from + shown) this.scroller.setAttribute("aria-activedescendant", active.element.id);
    else this.scroller.removeAttribute("aria-activedescendant");
    this.need(from, from + shown);
  }

  paintAll() {
    const [ticked, tickable] = [this.model.get("shown_selected"), this.model.get("shown_tickable")];
    this.all.checked = tickable > 0 && ticked === tickable;
    this.all.indeterminate = ticked > 0 && ticked < tickable;
    this.all.disabled = !tickable || BUSY.includes(this.model.get("state"));
  }

  paintEmpty() {
    const [state, rows] = [this.model.get("state"), this.model.get("total_rows")];
    let text = "";
    if (!this.total()) {
      if (state === "planning") text = "Comparing both sides …";
      else if (rows) text = this.model.get("text_filter") || this.model.get("kinds").length ? "No row matches the filter." : "Everything is up to date.";
      else if (state === "idle") text = "Choose a bucket and a folder, then Plan: it shows what would be done, and changes nothing.";
      else text = state === "failed" ? "Nothing was planned." : "Nothing to do.";
    }
    put(this.empty, text);
    this.empty.hidden = !text;
  }

  row() {
    const box = make("input", { type: "checkbox", tabIndex: -1 });
    const sign = make("span", { className: "nbp-sign", "aria-hidden": "true" });
    const word = make("span", { className: "nbp-word" });
    const cells = ["tick", "status", "path", "size", "reason"].map((name) => make("div", { role: "gridcell", className: `nbp-cell nbp-${name}` }));
    cells[0].append(box);
    cells[1].append(sign, word);
    const element = make("div", { role: "row", className: "nbp-row", id: `${this.line.name}-row-${this.rows.length}` }, ...cells);
    const row = { element, box, sign, word, path: cells[2], size: cells[3], reason: cells[4], position: -1 };
    element.addEventListener("mousedown", (event) => { if (event.shiftKey) event.preventDefault(); });
    element.addEventListener("click", (event) => {
      this.active = row.position;
      if (event.target === box || cells[0].contains(event.target)) this.tick(row.position, event.shiftKey);
      if (event.target === box) event.preventDefault();
      this.scroller.focus({ preventScroll: true });
      this.soon();
    });
    this.body.append(element);
    return row;
  }

  at(position) { return this.cache.rows[position - this.cache.start]; }

  fill(row, position, isShown, moving) {
    row.element.hidden = !isShown;
    row.position = position;
    if (!isShown) return;
    const [kind, sign, word, path, bytes, why, tick] = this.at(position) || ["", "", "", "…", "", "", -1];
    const element = row.element;
    element.dataset.kind = kind;
    element.setAttribute("aria-rowindex", String(position + 2));
    element.setAttribute("aria-selected", String(tick === 1));
    element.classList.toggle("nbp-active", position === this.active);
    element.classList.toggle("nbp-off", tick === 0);
    put(row.sign, sign);
    put(row.word, word);
    put(row.path, path);
    put(row.size, bytes);
    put(row.reason, why);
    row.path.title = path;
    row.reason.title = why;
    row.box.style.visibility = tick < 0 ? "hidden" : "visible";
    row.box.checked = tick === 1;
    row.box.disabled = BUSY.includes(this.model.get("state"));
    row.box.setAttribute("aria-label", `Tick ${path}`);
    const share = moving.get(path);
    element.classList.toggle("nbp-moving", share !== undefined);
    if (share !== undefined) element.style.setProperty("--share", `${Math.round(share * 100)}%`);
  }

  /** Ask for the rows around these, unless they are here already. */
  need(from, to) {
    const cache = this.cache;
    const here = cache.start <= from && to <= cache.start + cache.rows.length;
    const fresh = cache.revision === this.model.get("revision") && cache.order === this.model.get("order");
    if ((here && fresh) || to <= from || Date.now() - this.asked < 3000) return;
    this.asked = Date.now();
    this.line.send("rows", { start: Math.max(0, from - MARGIN), count: to - from + 2 * MARGIN });
  }

  take(message) {
    this.asked = 0;
    this.cache = message;
    this.soon();
  }

  /** Tick one row, or with a range all from the last one that was ticked. */
  tick(position, isRange = false) {
    const row = this.at(position);
    if (!row || row[6] < 0 || BUSY.includes(this.model.get("state"))) return;
    const on = row[6] === 0;
    const from = isRange && this.anchor >= 0 ? Math.min(this.anchor, position) : position;
    const to = isRange && this.anchor >= 0 ? Math.max(this.anchor, position) : position;
    this.anchor = position;
    this.line.send("tick", { order: this.cache.order, start: from, stop: to + 1, on });
  }

  sort(name) {
    const [column, descending] = this.model.get("sort");
    this.line.send("set", { name: "sort", value: [name, column === name ? !descending : name === "size"] });
  }

  key(event) {
    if (event.target !== this.scroller) return;
    const page = Math.max(1, Math.floor(this.inView()) - 1);
    const last = this.total() - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (event.key in steps) this.active = this.active < 0 ? Math.floor(this.first()) : Math.min(last, Math.max(0, this.active + steps[event.key]));
    else if (event.key === "Home") this.active = 0;
    else if (event.key === "End") this.active = last;
    else if (event.key === " " || event.key === "Enter") this.tick(this.active, event.shiftKey);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.line.send("tick-shown", { on: true });
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (this.active >= 0) this.show(this.active);
    this.soon();
  }
}

/** Include and exclude patterns, in their order. */
class Filters {
  constructor(model, fields) {
    this.fields = fields;
    this.model = model;
    this.list = make("div", { className: "nbp-filters" });
    this.send = later(350, () => this.fields.set("filters", this.value));
    fields.senders.push(this.send);
    const add = (kind) => make("button", { type: "button", className: "nbp-button nbp-small", onclick: () => this.add(kind) }, `+ ${kind}`);
    this.element = make("div", { className: "nbp-field nbp-wide" }, make("span", { className: "nbp-label" }, "Filters (in order, the last match wins; * crosses /)"),
      this.list, make("div", { className: "nbp-line" }, add("exclude"), add("include")));
    this.value = [];
    model.on("change:filters", () => this.follow());
    this.follow(true);
  }

  follow(anyway = false) {
    const now = this.model.get("filters");
    if (this.send.pending() || (!anyway && JSON.stringify(now) === JSON.stringify(this.value))) return;
    this.value = now.map((pair) => [...pair]);
    this.draw();
  }

  add(kind) {
    this.value.push([kind, ""]);
    this.draw();
    this.list.lastElementChild.querySelector("input").focus();
  }

  draw() {
    this.list.replaceChildren(...this.value.map((pair, at) => {
      const kind = make("select", { className: "nbp-input nbp-kind", "aria-label": `Filter ${at + 1}: kind`, onchange: () => { pair[0] = kind.value; this.send.now(); } },
        make("option", { value: "exclude" }, "exclude"), make("option", { value: "include" }, "include"));
      kind.value = pair[0];
      const pattern = make("input", { type: "text", className: "nbp-input nbp-code", value: pair[1], placeholder: "*.csv", spellcheck: false, "aria-label": `Filter ${at + 1}: pattern`,
        oninput: () => { pair[1] = pattern.value; this.send(); }, onchange: () => this.send.now() });
      const remove = make("button", { type: "button", className: "nbp-button nbp-small", "aria-label": `Remove filter ${at + 1}`, onclick: () => { this.value.splice(at, 1); this.draw(); this.send.now(); } }, "✕");
      return make("div", { className: "nbp-line" }, kind, pattern, remove);
    }));
  }
}

class Panel {
  constructor(model, el) {
    this.model = model;
    this.root = make("div", { className: "nbsync-panel", role: "region", "aria-label": "nbsync panel", "data-lm-suppress-shortcuts": "true" });
    this.line = new Line(model, `nbp-${++views}-${Math.random().toString(36).slice(2, 8)}`, (silent) => this.silent(silent));
    this.fields = new Fields(model, this.line);
    this.style = make("style");
    this.root.append(this.style, this.form(), this.options(), this.actions(), this.running(), this.tools());
    this.grid = new Grid(model, this.line);
    this.root.append(this.grid.element, this.foot());
    el.append(this.root);
    this.onMessage = (message) => this.take(message);
    this.onChange = () => this.soon();
    model.on("msg:custom", this.onMessage);
    model.on("change", this.onChange);
    this.line.send("hello");
    this.draw();
  }

  form() {
    const remote = this.fields.text("remote", "Remote", { placeholder: "s3://bucket/prefix", className: "nbp-input nbp-code" });
    const local = this.fields.text("local", "Local folder", { placeholder: "./ + last name in remote", className: "nbp-input nbp-code" });
    this.suggestions = { remote: this.fields.suggest(remote.input, "remote"), local: this.fields.suggest(local.input, "local") };
    this.local = local.input;
    this.tree = new Tree(this.model, this.line, (path) => { remote.input.value = path; this.fields.set("remote", path); });
    this.browse = make("button", { type: "button", className: "nbp-button", "aria-expanded": "false", onclick: () => this.toggleTree() }, "Browse");
    const ways = ["pull", "push"].map((way) => {
      const radio = make("input", { type: "radio", name: `${this.line.name}-way`, value: way, onchange: () => this.fields.set("direction", way) });
      const arrow = make("span", { className: "nbp-arrow", "aria-hidden": "true" }, way === "pull" ? "→" : "←");
      return make("label", { className: "nbp-way" }, radio, ...(way === "pull" ? ["Pull ", arrow] : [arrow, " Push"]));
    });
    this.ways = ways.map((label) => label.firstElementChild);
    this.fieldset = make("fieldset", { className: "nbp-form" },
      make("div", { className: "nbp-field" }, remote.label, make("div", { className: "nbp-line" }, remote.input, this.browse)),
      make("div", { className: "nbp-ways", role: "radiogroup", "aria-label": "Direction" }, ...ways),
      make("div", { className: "nbp-field" }, local.label, make("div", { className: "nbp-line" }, local.input)),
      this.tree.element, this.suggestions.remote.list, this.suggestions.local.list);
    return this.fieldset;
  }

  toggleTree() {
    const open = this.tree.element.hidden;
    this.browse.setAttribute("aria-expanded", String(open));
    this.tree.toggle(open);
  }

  options() {
    const more = [["endpoint_url", "Endpoint", "AWS, or https://host:port"], ["profile", "Profile", "from the environment"], ["region", "Region", "found by itself"]]
      .map(([name, label, placeholder]) => [name, this.fields.text(name, label, { placeholder })]);
    this.suggestions.profile = this.fields.suggest(more[1][1].input, "profile", true);
    this.delete = make("input", { type: "checkbox", id: `${this.line.name}-delete`, onchange: () => this.fields.set("delete", this.delete.checked) });
    const mirror = make("label", { className: "nbp-check nbp-wide" }, this.delete, "Delete at the destination what the source does not have");
    this.inner = make("fieldset", { className: "nbp-options", hidden: true }, new Filters(this.model, this.fields).element, mirror,
      ...more.map(([, field]) => make("div", { className: "nbp-field" }, field.label, field.input)), this.suggestions.profile.list);
    this.summary = make("span", { className: "nbp-summary" });
    this.opener = make("button", { type: "button", className: "nbp-opener", "aria-expanded": "false", onclick: () => {
      this.inner.hidden = !this.inner.hidden;
      this.opener.setAttribute("aria-expanded", String(!this.inner.hidden));
    } }, make("span", { className: "nbp-twisty", "aria-hidden": "true" }), "Filters and options", this.summary);
    return make("div", { className: "nbp-more-options" }, this.opener, this.inner);
  }

  actions() {
    const button = (label, command, more = "") => make("button", { type: "button", className: `nbp-button ${more}`, onclick: () => { this.fields.flush(); this.line.send(command); } }, label);
    this.plan = button("Plan", "plan");
    this.apply = button("Apply", "apply");
    this.cancel = button("Cancel", "cancel", "nbp-cancel");
    this.status = make("div", { className: "nbp-message", role: "status", "aria-live": "polite" });
    this.waits = make("div", { className: "nbp-waits", role: "status", hidden: true }, "Waiting for the kernel: it is busy, or not running (then run the cell again).");
    return make("div", { className: "nbp-actions" }, this.plan, this.apply, this.cancel, this.status, this.waits);
  }

  running() {
    this.fillBar = make("div", { className: "nbp-fill" });
    this.bar = make("div", { className: "nbp-bar", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, this.fillBar);
    this.facts = make("div", { className: "nbp-facts" });
    this.moving = make("div", { className: "nbp-active-files", role: "list", "aria-label": "Files on their way" });
    this.progress = make("div", { className: "nbp-progress", hidden: true }, this.bar, this.facts, this.moving);
    return this.progress;
  }

  tools() {
    this.chips = make("div", { className: "nbp-chips", role: "group", "aria-label": "Show only" });
    const search = this.fields.text("text_filter", "Filter by path", { type: "search", placeholder: "Filter by path", className: "nbp-input" });
    search.label.classList.add("nbp-unseen");
    this.toolbar = make("div", { className: "nbp-tools" }, this.chips, make("div", { className: "nbp-search" }, icon("search"), search.label, search.input));
    return this.toolbar;
  }

  foot() {
    this.ticked = make("span");
    this.rowsShown = make("span");
    this.footer = make("div", { className: "nbp-foot" }, this.ticked, this.rowsShown);
    return this.footer;
  }

  take(message) {
    this.line.heard();
    if (message.view && message.view !== this.line.name) return;
    if (message.kind === "hello") this.hideSaved(message.class);
    else if (message.kind === "rows") this.grid.take(message);
    else if (message.kind === "level") this.tree.take(message.what, message.value, message.error);
    else if (message.kind === "suggestions" && !message.error) this.suggestions[message.what]?.fill(message.value);
  }

  /** The kernel answers: the table that is saved beside the panel need not be seen. */
  hideSaved(name) {
    if (!/^nbsync-saved-[\w-]+$/.test(name)) return;
    put(this.style, `.${name} { display: none; } .jp-OutputArea-child:has(.${name}) { display: none; }`);
  }

  silent(isSilent) { this.waits.hidden = !isSilent; }

  soon() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  draw() {
    const get = (name) => this.model.get(name);
    const busy = BUSY.includes(get("state"));
    this.root.dataset.state = get("state");
    this.fieldset.disabled = this.inner.disabled = busy;
    for (const radio of this.ways) radio.checked = radio.value === get("direction");
    this.local.placeholder = get("direction") === "push" ? "folder to upload" : "./ + the last name in remote";
    this.delete.checked = get("delete");
    put(this.summary, this.summaryText());
    this.drawActions(get, busy);
    this.drawProgress(get("progress"), busy);
    this.drawChips(get("counts"), get("kinds"));
    this.toolbar.hidden = this.footer.hidden = !get("total_rows");
    put(this.ticked, get("shown_tickable") || get("selected") ? `${count(get("selected"))} ticked · ${size(get("selected_bytes"))}` : "");
    put(this.rowsShown, get("total_rows") ? `${count(get("shown_rows"))} of ${plural(get("total_rows"), "row")}` : "");
    this.grid.paint();
  }

  summaryText() {
    const told = [];
    const filters = this.model.get("filters").filter((pair) => pair[1]).length;
    if (filters) told.push(plural(filters, "filter"));
    if (this.model.get("delete")) told.push("delete");
    for (const name of ["endpoint_url", "profile", "region"]) if (this.model.get(name)) told.push(this.model.get(name));
    return told.join(" · ");
  }

  drawActions(get, busy) {
    const ready = get("can_apply");
    this.plan.disabled = busy;
    this.apply.disabled = !ready;
    this.cancel.hidden = !busy;
    this.plan.classList.toggle("nbp-primary", !ready && !busy);
    this.apply.classList.toggle("nbp-primary", ready);
    put(this.apply, get("selected") && !busy ? `Apply ${plural(get("selected"), "file")}` : "Apply");
    const message = get("stale") && !busy ? "The settings have changed: plan again." : get("message") || (get("state") === "applying" ? "Syncing …" : "");
    put(this.status, message);
    this.status.dataset.tone = get("stale") && !busy ? "warn" : get("tone");
  }

  drawProgress(progress, busy) {
    this.progress.hidden = !busy || !progress.facts;
    if (this.progress.hidden) return;
    const percent = Math.round(progress.share * 100);
    const vague = this.model.get("state") === "planning" && !progress.listing_done;
    this.bar.classList.toggle("nbp-vague", vague);
    if (vague) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", String(percent));
    this.fillBar.style.width = vague ? "" : `${percent}%`;
    put(this.facts, progress.facts.join(" · "));
    const lines = progress.active.map((one) => {
      const fill = make("div", { className: "nbp-fill" });
      fill.style.width = `${Math.round(one.share * 100)}%`;
      return make("div", { className: "nbp-file", role: "listitem" }, make("span", { className: "nbp-file-path", title: one.path }, `${one.up ? "↑" : "↓"} ${one.path}`),
        make("div", { className: "nbp-bar", "aria-hidden": "true" }, fill), make("span", { className: "nbp-amount" }, one.amount));
    });
    if (progress.more) lines.push(make("div", { className: "nbp-note", role: "listitem" }, `and ${count(progress.more)} more on their way`));
    this.moving.replaceChildren(...lines);
  }

  drawChips(counts, pressed) {
    const key = JSON.stringify([counts, pressed]);
    if (key === this.chipsKey) return;
    this.chipsKey = key;
    const focused = document.activeElement?.dataset?.chip;
    const names = [...new Set([...Object.keys(counts), ...pressed])].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
    this.chips.replaceChildren(...names.map((name) => {
      const on = pressed.includes(name);
      const chip = make("button", { type: "button", className: "nbp-chip", "aria-pressed": String(on), title: MEANINGS[name] || "", onclick: () => this.fields.set("kinds", on ? pressed.filter((one) => one !== name) : [...pressed, name]) },
        make("span", { className: "nbp-dot", "aria-hidden": "true" }), `${name.replace("-", " ")} `, make("b", {}, count(counts[name] || 0)));
      chip.dataset.kind = chip.dataset.chip = name;
      return chip;
    }));
    if (focused) this.chips.querySelector(`[data-chip="${focused}"]`)?.focus();
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change", this.onChange);
    this.grid.observer.disconnect();
    clearTimeout(this.line.waiting);
  }
}

const ORDER = ["failed", "conflict", "skipped", "cancelled", "delete-local", "delete-remote", "upload", "download", "deleted", "miss", "hit"];
const MEANINGS = { hit: "up to date: nothing moves", miss: "moved", planned: "to be done", skipped: "left out as it should be", conflict: "changed on both sides, or since the plan: nothing was done" };

export default {
  render({ model, el }) {
    const panel = new Panel(model, el);
    return () => panel.close();
  },
};
