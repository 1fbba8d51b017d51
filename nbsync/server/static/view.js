/* What the page shows. Every text goes in as text, never as markup, and rows are bounded whatever the pull's size. */

import { bySignificance, count, duration, plural, share, sign, size, troubled, visible, why } from "./words.js";

const MAX_ROWS = 200;
const MAX_NOTES = 10;
const MAX_ACTIVE = 5;
const KINDS = [["failed", "failed"], ["conflict", "in conflict"], ["skipped", "left out"], ["cancelled", "not pulled"],
  ["planned", "to pull"], ["miss", "pulled"], ["hit", "up to date"]];
const WORDS = Object.fromEntries(KINDS);
const at = (id) => document.getElementById(id);

function make(tag, props, ...children) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
}

function put(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

/** The page's headline and the sentence below it. A screen reader says them, so they change with the state only. */
export function say(headline, message = "") {
  put("headline", headline);
  put("message", message);
}

export const setTitle = (text) => { document.title = `${text} · nbsync`; };
export const setState = (state) => { at("pull").dataset.state = state; };
export const hint = (text) => put("hint", text);

/** The endpoint's host, once the server has told it. */
export function endpoint(pull) {
  const told = [pull.endpoint, pull.endpoint_host].filter(Boolean).map(visible);
  if (told.length) put("endpoint", `at ${told.length === 2 ? `${told[0]} (${told[1]})` : told[0]}`);
}

/** What can be done now: `[label, act, "primary"]`, from left to right. A second click while it is done does nothing. */
export function buttons(...choices) {
  const held = at("buttons").contains(document.activeElement);
  at("buttons").replaceChildren(...choices.map(([label, act, look = ""]) => {
    const made = make("button", { type: "button", className: `button ${look}`, textContent: label });
    made.addEventListener("click", async () => {
      if (made.ariaBusy === "true") return;
      made.ariaBusy = "true";
      await act(made);
      made.ariaBusy = "false";
    });
    return made;
  }));
  if (held) at("headline").focus(); // the button that had the focus is gone
}

/** Boxes for what a person must not miss: `[tone, text, command]`. */
export function callouts(...boxes) {
  at("callouts").replaceChildren(...boxes.filter(Boolean).map(([tone, text, command]) => {
    const box = make("p", { className: "callout" }, text);
    box.dataset.tone = tone;
    if (command) box.append(" ", make("code", { textContent: command }));
    return box;
  }));
}

export function notes(texts) {
  at("notes").replaceChildren(...texts.slice(0, MAX_NOTES).map((text) => make("li", { textContent: visible(text) })));
}

/** How many files are in which state. */
export function counts(counted) {
  const chips = KINDS.filter(([kind]) => counted[kind]).map(([kind, word]) => {
    const chip = make("span", { className: "chip" }, make("b", { textContent: count(counted[kind]) }), ` ${word}`);
    chip.dataset.kind = kind;
    return chip;
  });
  at("chips").replaceChildren(...chips);
}

function line(row) {
  const moves = row.action === "download" && row.bytes !== null && ["planned", "miss"].includes(row.status);
  const made = make("li", {},
    make("span", { className: "sign" }, make("span", { textContent: sign(row), ariaHidden: "true" }),
      make("span", { className: "unseen", textContent: `${WORDS[row.status] || row.status}: ` })),
    make("bdi", { className: "name", textContent: visible(row.path), title: visible(row.path) }),
    make("span", { className: "size", textContent: moves ? size(row.bytes) : "" }),
    make("span", { className: "why", textContent: visible(why(row)), title: visible(why(row)) }));
  made.dataset.kind = row.status;
  return made;
}

/** A list of rows as it stands at the end of a look or a pull; `total` is how many there are. */
export function listRows(rows, total) {
  const shown = bySignificance(rows).slice(0, MAX_ROWS);
  at("files").hidden = shown.length === 0;
  at("rows").replaceChildren(...shown.map(line));
  const more = Math.max(total - shown.length, 0);
  put("more", more ? `… and ${plural(more, "more file")}` : "");
}

/** The rows of a pull under way, the newest first; each path has one line, and the oldest ones go. */
export class LiveRows {
  constructor() {
    this.lines = new Map();
    at("rows").replaceChildren();
    put("more", "");
  }

  add(rows) {
    for (const row of rows) {
      this.lines.get(row.path)?.remove();
      this.lines.delete(row.path);
      this.lines.set(row.path, line(row));
    }
    for (const path of this.lines.keys()) {
      if (this.lines.size <= MAX_ROWS) break;
      this.lines.get(path).remove();
      this.lines.delete(path);
    }
    const fresh = rows.map((row) => this.lines.get(row.path)).filter((made) => made && !made.isConnected);
    at("rows").prepend(...[...new Set(fresh)].reverse());
    at("files").hidden = this.lines.size === 0;
  }
}

function facts(pull) {
  const parts = [`${count(pull.files_done)} of ${pull.listing_done ? "" : "at least "}${plural(pull.files_total, "file")}`];
  if (pull.bytes_total) parts.push(`${size(pull.bytes_done)} of ${size(pull.bytes_total)}`);
  if (pull.rate) parts.push(`${size(pull.rate)}/s`);
  if (pull.listing_done && pull.eta_seconds !== null) parts.push(`${duration(pull.eta_seconds)} left`);
  return parts.join(" · ");
}

function fillBar(bar, percent) {
  bar.classList.toggle("vague", percent === null);
  bar.firstElementChild.style.width = percent === null ? "" : `${percent}%`;
  if (percent === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(Math.floor(percent)));
}

function activeLine(file) {
  const bar = make("div", { className: "bar" }, make("div"));
  fillBar(bar, file.size ? Math.min(100, (100 * file.done) / file.size) : 0);
  const done = make("span", { className: "size", textContent: `${size(file.done)} of ${size(file.size)}` });
  return make("li", {}, make("bdi", { className: "name", textContent: visible(file.path) }), bar, done);
}

/** A bar without an end, while something is looked at. */
export function looking() {
  at("progress").hidden = false;
  fillBar(at("bar"), null);
  put("numbers", "");
  at("active").replaceChildren();
}

export function progress(pull) {
  at("progress").hidden = false;
  fillBar(at("bar"), share(pull));
  put("numbers", pull.files_total ? facts(pull) : "");
  const active = pull.active.slice(0, MAX_ACTIVE).map(activeLine);
  const more = pull.active.length - MAX_ACTIVE;
  if (more > 0) active.push(make("li", { className: "soft", textContent: `and ${count(more)} more` }));
  at("active").replaceChildren(...active);
}

/** How far a look has come: what there is to pull is not known before its end. */
export function lookedAt(pull) {
  put("numbers", pull.files_done ? `${plural(pull.files_done, "file")} looked at` : "");
}

export function noRows() {
  at("files").hidden = true;
}

export function noProgress() {
  at("progress").hidden = true;
}

/** The rows, counts and notes that an ended look or pull came to. */
export function outcome(pull) {
  noProgress();
  const result = pull.result || {};
  const counted = pull.counts || {};
  counts(counted);
  listRows(result.files || pull.rows || [], (counted.planned || 0) + (counted.miss || 0) + troubled(counted));
  notes(pull.notes || []);
}
