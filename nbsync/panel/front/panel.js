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
    this.root.addEventListener("keydown", (event) => this.key(event));
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
    for (const { input } of [remote, local]) input.addEventListener("keydown", (event) => this.planOnEnter(event));
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
    if (!open) this.browse.focus();
  }

  /** Keys stay in the panel, after its own parts have had them: elsewhere one letter cuts or deletes a cell. */
  key(event) {
    if (event.key === "Escape" && !this.tree.element.hidden && (event.target === this.browse || this.tree.element.contains(event.target))) this.toggleTree();
    // A key that is held must not press what takes the place of the button that it pressed.
    else if (event.repeat && event.key === "Enter" && event.target.tagName === "BUTTON") event.preventDefault();
    event.stopPropagation();
  }

  planOnEnter(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    this.press("plan");
  }

  /** Send a command, and before it what was typed and not sent yet. */
  press(command) {
    this.fields.flush();
    this.line.send(command);
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
    const button = (label, command, more = "") => make("button", { type: "button", className: `nbp-button ${more}`, onclick: () => this.press(command) }, label);
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
    const held = this.root.getRootNode().activeElement;
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
    this.moveFocus(held, busy, get);
  }

  /** What had the focus and can have it no longer hands it on: to Cancel, and from there to what comes next. */
  moveFocus(held, busy, get) {
    if (!held || !this.root.contains(held) || !(held.hidden || held.matches(":disabled"))) return;
    if (busy) this.cancel.focus();
    else if (get("state") === "planned" && get("total_rows")) this.grid.scroller.focus({ preventScroll: true });
    else (get("can_apply") && get("state") === "cancelled" ? this.apply : this.plan).focus();
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
    const [work, deletes] = [busy ? "" : get("selected_work"), get("selected_deletes") > 0];
    this.apply.classList.toggle("nbp-danger", ready && deletes);
    put(this.apply, work ? `Apply${deletes ? ":" : ""} ${work}` : "Apply");
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
