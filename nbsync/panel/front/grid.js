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
    this.detailPath = make("b");
    this.detailWhy = make("span");
    this.detail = make("div", { className: "nbp-detail", hidden: true }, this.detailPath, " — ", this.detailWhy);
    this.element = make("div", { className: "nbp-frame" }, make("div", { className: "nbp-table" }, this.scroller, this.empty), this.detail);
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
    this.paintDetail();
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

  /** The path and the reason of the row that the keyboard is on, at full length: the columns may cut them. */
  paintDetail() {
    const row = this.active >= 0 && this.active < this.total() ? this.at(this.active) : undefined;
    this.detail.hidden = !row;
    if (!row) return;
    put(this.detailPath, row[3]);
    put(this.detailWhy, row[5]);
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

