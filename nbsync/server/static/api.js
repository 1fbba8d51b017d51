/* The JSON API of this server's pulls, and how one is followed to its end. */

const ENDED = ["done", "cancelled", "failed"];
const QUIET = 4000; // milliseconds without an event, until the document is asked for (a proxy may hold events back)
const POLL = 1000; // milliseconds between two looks where there is no stream

export const hasEnded = (pull) => ENDED.includes(pull.state);

/** What the server refused, or that it did not answer (`status` 0). The message is the server's line. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Api {
  /** `base` is the server's base URL, with its last slash; `xsrf` is sent with each change. */
  constructor(base, xsrf) {
    this.root = `${base}nbsync/api/pulls`;
    this.xsrf = xsrf;
  }

  list() { return this.ask("GET", this.root); }
  start(request) { return this.ask("POST", this.root, request); }
  get(id) { return this.ask("GET", this.at(id)); }
  cancel(id) { return this.ask("DELETE", this.at(id)); }
  at(id) { return `${this.root}/${encodeURIComponent(id)}`; }

  async ask(method, url, body) {
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["X-XSRFToken"] = this.xsrf;
    if (body) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(url, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
    } catch {
      throw new ApiError(0, "This server does not answer.");
    }
    if (answer.status === 204) return null;
    const said = await answer.json().catch(() => null);
    if (answer.ok && said !== null) return said;
    throw new ApiError(answer.status, said?.message || `The server answered ${answer.status}.`);
  }
}

/** Follow a pull to its end. It is told by the event stream, and asked for where the stream says nothing. */
class Follower {
  constructor(api, id, tell, lost) {
    Object.assign(this, { api, id, tell, lost });
    this.ended = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.stream = new EventSource(`${api.at(id)}/events`);
    this.stream.addEventListener("progress", (event) => this.heard(JSON.parse(event.data)));
    this.stream.addEventListener("end", () => this.look());
    this.stream.addEventListener("error", () => this.later());
    this.later();
  }

  heard(pull) {
    if (this.over) return;
    this.lost(false);
    this.tell(pull);
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    const streaming = this.stream.readyState === EventSource.OPEN;
    if (!this.over) this.timer = setTimeout(() => this.look(), streaming ? QUIET : POLL);
  }

  async look() {
    try {
      const pull = await this.api.get(this.id);
      if (hasEnded(pull)) this.finish(() => this.resolve(pull));
      else this.heard(pull);
    } catch (error) {
      // A lost line or a proxy without its server (502 to 504) may come back; anything else is an answer.
      if (error.status !== 0 && error.status < 502) this.finish(() => this.reject(error));
      else {
        this.lost(true);
        this.later();
      }
    }
  }

  finish(settle) {
    if (this.over) return;
    this.over = true;
    this.lost(false);
    clearTimeout(this.timer);
    this.stream.close();
    settle();
  }
}

/**
 * The last document of pull `id`, with its result; `tell` is called with each one before, `lost` with whether the
 * server is out of reach at the moment.
 */
export function follow(api, id, tell, lost) {
  return new Follower(api, id, tell, lost).ended;
}
