/* The pull page: look at what a pull would change, ask, pull, and go on to where the link leads.
 *
 * The server decides; this sends what the link says and shows what comes back. A pull goes on in the server when the
 * page is closed; a page of the same link finds it again. */

import { Api, ApiError, follow, hasEnded } from "./api.js";
import { plural, share, size, troubled, visible } from "./words.js";
import * as view from "./view.js";

const page = document.getElementById("pull").dataset;
const api = new Api(page.base, page.xsrf);
const request = JSON.parse(page.request);
const next = page.next; // on this server, which has checked it; empty: nowhere
const folder = page.folder; // as a terminal of this server names it
const into = visible(folder);
const WAITS = { queued: "Waiting for its turn: other pulls are under way…", waiting: "Waiting for another nbsync run in this folder…",
  starting: "Getting ready…" };
const LOOKS = { queued: "Waiting for its turn…" };
let announced = 0; // local changes that the person was told of before they chose Pull
let steadyHint = ""; // what stands below while the server answers

const isOfThisLink = (pull) => !pull.dry_run && !hasEnded(pull)
  && ["source", "target", "endpoint", "as_of"].every((name) => pull[name] === request[name])
  && JSON.stringify(pull.filters) === JSON.stringify(request.filters);
const leave = () => location.replace(next || page.base);
const goOn = (look = "") => [next ? (look ? "Open" : "Open anyway") : "Open Jupyter", leave, look];
const lost = (isLost) => view.hint(isLost ? "No answer from this server; trying again…" : steadyHint);

/** Begin a state of the page: what belonged to the one before goes. */
function enter(state, hint = "") {
  view.setState(state);
  view.callouts();
  view.notes([]);
  steadyHint = hint;
  view.hint(hint);
}

/** Follow a pull or a look to its last document; Cancel ends it. */
function watch(pull, tell) {
  view.buttons(["Cancel", async (button) => {
    button.textContent = "Cancelling…";
    await api.cancel(pull.id).catch(() => { button.textContent = "Cancel"; });
  }]);
  tell(pull);
  return follow(api, pull.id, tell, lost);
}

/** What would a pull do? A dry run: it changes nothing. */
async function look() {
  enter("looking", "Looking changes nothing.");
  view.say(`Pull into ${into}?`, "Looking at what would change…");
  view.setTitle(`Pull into ${into}`);
  view.noRows();
  view.looking();
  const pull = await watch(await api.start({ ...request, dry_run: true }), (seen) => {
    view.endpoint(seen);
    view.say(`Pull into ${into}?`, LOOKS[seen.state] || "Looking at what would change…");
    view.lookedAt(seen);
  });
  view.endpoint(pull);
  if (pull.state === "cancelled") return stay("stopped", "Nothing was pulled", "You stopped before anything was changed.");
  if (pull.state === "failed") return failed("This cannot be pulled", pull);
  return ask(pull);
}

/** The question: shall these files be pulled? */
function ask(pull) {
  const todo = pull.counts.planned || 0;
  const bad = troubled(pull.counts);
  if (!todo && pull.ok) return allThere(pull);
  enter("asking", todo ? "Nothing has been changed yet." : "");
  announced = pull.local_changes;
  view.outcome(pull);
  view.callouts(replaced(pull), bad && ["bad", `${plural(bad, "file")} cannot be pulled; the list says why.`]);
  if (!todo) return stay("asking", "Nothing to pull", "Everything else is up to date.");
  const here = pull.counts.hit ? `; ${plural(pull.counts.hit, "file")} up to date already` : "";
  view.say(`Pull ${plural(todo, "file")} into ${into}?`, `${size(pull.bytes_total)} to download${here}.`);
  view.buttons(["Cancel", refuse], [`Pull ${plural(todo, "file")}`, start(run), "primary"]);
  return undefined;
}

function allThere(pull) {
  view.outcome(pull);
  enter("done");
  view.notes(pull.notes);
  if (pull.counts.hit) return arrive("Everything is up to date", `${plural(pull.counts.hit, "file")}, none of them differs.`);
  return nothing();
}

/** The link's filters leave no file: where it leads to may not be there. */
const nothing = () => stay("stopped", "There is nothing to pull", "The link asks for none of the files that lie there.");

const refuse = () => {
  enter("stopped");
  stay("stopped", "Nothing was pulled", "Your files are as they were.");
};

async function run() {
  await attend(await api.start({ ...request, dry_run: false }));
}

/** Show a pull that is queued or under way until it ends. */
async function attend(pull) {
  enter("pulling", "You may close this page: the pull goes on.");
  view.say(`Pulling into ${into}`, "");
  view.looking();
  const rows = new view.LiveRows();
  const last = await watch(pull, (seen) => {
    view.endpoint(seen);
    view.say(`Pulling into ${into}`, WAITS[seen.state] || "");
    view.progress(seen);
    view.counts(seen.counts);
    rows.add(seen.rows);
    const percent = share(seen);
    view.setTitle(percent === null ? `Pulling into ${into}` : `${Math.floor(percent)} % · ${into}`);
  });
  ended(last);
}

function ended(pull) {
  const got = pull.counts.miss || 0;
  if (pull.state === "failed") return failed(got ? "The pull stopped before its end" : "The pull failed", pull);
  view.outcome(pull);
  enter(pull.ok ? "done" : "stopped");
  view.notes(pull.notes);
  view.callouts(replaced(pull));
  if (pull.state === "cancelled") {
    return stay("stopped", "The pull was cancelled", came(got), "Pull again");
  }
  if (!pull.ok) {
    const bad = troubled(pull.counts);
    return stay("failed", `${bad ? plural(bad, "file") : "Something"} could not be pulled`, `${plural(got, "file")} pulled; the list says what went wrong.`, "Try again");
  }
  const headline = `${plural(got, "file")} pulled into ${into}`;
  if (!got && !pull.counts.hit) return nothing();
  if (pull.local_changes > announced) return stay("done", headline, "");
  return arrive(headline, "");
}

/** All is well: go on to where the link leads. */
function arrive(headline, message) {
  view.setTitle("Done");
  if (!next) return stay("done", headline, message);
  view.say(headline, `${message} Opening what the link asks for…`.trim());
  view.buttons(["Open now", leave, "primary"]);
  leave();
  return undefined;
}

const came = (files) => `${files ? plural(files, "file") : "No file"} came before; none is half there.`;
const told = (pull) => visible([pull.error, pull.hint].filter(Boolean).map((text) => text.replace(/\.?$/, ".")).join(" "));

/** End here, with what can be done now. */
function stay(state, headline, message, again = "Look again") {
  view.setState(state);
  view.noProgress();
  view.say(headline, message);
  view.setTitle(headline);
  if (state === "done") view.buttons(goOn("primary"));
  else view.buttons(goOn(), [again, start(look), "primary"]);
}

function failed(headline, pull) {
  view.outcome(pull);
  enter("failed");
  view.notes(pull.notes || []);
  view.callouts(["bad", told(pull)], replaced(pull));
  stay("failed", headline, pull.counts.miss ? came(pull.counts.miss) : "Nothing was changed.", "Try again");
}

/** A box that tells of local changes that a pull replaces, or has replaced, and how they are brought back. */
function replaced(pull) {
  const many = pull.local_changes;
  if (!many) return null;
  const [is, was, it] = many === 1 ? ["version is", "was", "it"] : ["versions are", "were", "them"];
  const word = /^[\w./-]+$/.test(folder) ? folder : `'${into.replaceAll("'", "'\\''")}'`;
  return ["warn", `${plural(many, "file")} with changes of yours ${pull.dry_run ? "will be" : was} replaced. `
    + `Your ${is} kept in the trash; in a terminal, this brings ${it} back:`, `nbsync undo ${word}`];
}

/** What happens on a click, or at first: refusals and lost sessions become a page that says so. */
function start(act) {
  return async () => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      enter("failed");
      refused(error);
    }
  };
}

function refused(error) {
  const [headline, message] = {
    0: ["No answer from this server", "Is it still running?"],
    403: ["This server does not allow it", "If you were logged out meanwhile, load this page again."],
    404: ["This server no longer knows the pull", "It may have been restarted. No file is half there."],
  }[error.status] || ["This cannot be pulled", ""];
  view.callouts(["bad", visible(error.message)]);
  stay("failed", headline, message, "Try again");
}

start(async () => {
  const running = (await api.list()).find(isOfThisLink);
  await (running ? attend(running) : look());
})();
