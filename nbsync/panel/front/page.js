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
  // JupyterLab looks for this from the focused element up to the first one that a shortcut fits, which is often
  // the focused one itself: on the panel's root alone it would not keep X from cutting the cell.
  if (made.tabIndex >= 0 || "tabIndex" in props) made.setAttribute("data-lm-suppress-shortcuts", "true");
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

