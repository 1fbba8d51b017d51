/** The tree of buckets and folders, opened level by level. */
class Tree {
  constructor(model, line, choose) {
    this.model = model;
    this.line = line;
    this.choose = choose;
    this.items = new Map(); // path -> its group of children
    this.root = make("div", { role: "tree", tabIndex: -1, className: "nbp-tree", "aria-label": "Buckets and folders", onkeydown: (event) => this.key(event) });
    this.element = make("div", { className: "nbp-browser", hidden: true }, this.root);
  }

  toggle(open) {
    this.element.hidden = !open;
    if (!open) return;
    this.items.clear();
    this.root.replaceChildren();
    this.items.set("", this.root);
    this.ask("");
    this.root.focus();
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
    if (this.root.getRootNode().activeElement === this.root) this.root.querySelector("[tabindex='0']")?.focus();
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

