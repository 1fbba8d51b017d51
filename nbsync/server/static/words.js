/* Numbers and untrusted names as text for people. Pure. */

export const count = (number) => number.toLocaleString("en-US");
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** `4100` -> `4.1 kB`; decimal units, as disks and bills count. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes / 1000;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    if (value < 999.95) return `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} PB`;
}

/** `125.2` -> `2 min 5 s`. */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Text from a bucket, a disk or a server with what would not be seen (controls, bidi overrides) written out. */
export function visible(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => {
    const code = char.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}

/** The one character that a row begins with: `+` new, `*` changed, `·` left out, `!` look here. */
export function sign(row) {
  if (["failed", "conflict", "cancelled"].includes(row.status) || row.error) return "!";
  if (row.status === "skipped") return "·";
  if (row.status === "hit") return "=";
  return row.reason.startsWith("missing") ? "+" : "*";
}

/** The reasons of what was pulled, said of what is past. */
const WAS = {
  "missing locally": "new",
  "content differs": "updated",
  "content differs; what is here goes to the trash": "updated; yours is in the trash",
};

/** The reason, and the error where there is one. */
export function why(row) {
  if (row.error && row.error !== row.reason) return row.reason ? `${row.reason}: ${row.error}` : row.error;
  return (row.status === "miss" && WAS[row.reason]) || row.reason;
}

const PROBLEMS = ["failed", "conflict", "skipped", "cancelled"];
const isTroubled = (row) => PROBLEMS.includes(row.status);
const keepsEdit = (row) => row.reason.includes("trash");
const weight = (row) => (isTroubled(row) ? 0 : keepsEdit(row) ? 1 : 2);

/** Rows with what a person must see first: problems, then what replaces local edits; hits left out. */
export function bySignificance(rows) {
  return rows.filter((row) => row.status !== "hit").sort((a, b) => weight(a) - weight(b));
}

/** How many files the counts hold that could not be pulled, or were not. */
export function troubled(counts) {
  return PROBLEMS.reduce((sum, status) => sum + (counts[status] || 0), 0);
}

/** The share that is done in percent, or null while how much there is to do is not known. */
export function share(pull) {
  if (!pull.listing_done) return null;
  if (pull.bytes_total) return Math.min(100, (100 * pull.bytes_done) / pull.bytes_total);
  return pull.files_total ? (100 * pull.files_done) / pull.files_total : null;
}
