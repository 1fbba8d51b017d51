/* The JSON API of this server's pulls, and how one is followed to its end. */

const ENDED = ["done", "cancelled", "failed"];
const QUIET = 4000; // milliseconds without an event, until the document is asked for (a proxy may hold events back)
const POLL = 1000; // milliseconds between two looks where there is no stream
const AGAIN = 3000; // milliseconds until a stream that ended is tried again

export const hasEnded = (pull) => ENDED.includes(pull.state);

/** What the server refused, or that it did not answer (`status` 0). The message is the server's line. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Api {
  /** `base` is the server's base URL, with its last slash; `xsrf` is sent with each request. */
  constructor(base, xsrf) {
    this.root = `${base}nbsync/api/pulls`;
    this.xsrf = xsrf;
  }

  list() { return this.ask("GET", this.root); }
  start(request) { return this.ask("POST", this.root, request); }
  get(id) { return this.ask("GET", this.at(id)); }
  cancel(id) { return this.ask("DELETE", this.at(id)); }
  at(id) { return `${this.root}/${encodeURIComponent(id)}`; }

  /** A request of this page's own: JupyterHub wants the XSRF token with a GET, too, and so no EventSource will do. */
  request(method, url, { headers, ...more } = {}) {
    return fetch(url, { method, cache: "no-store", headers: { ...headers, "X-XSRFToken": this.xsrf }, ...more });
  }

  async ask(method, url, sent) {
    const more = sent ? { headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent) } : {};
    let answer;
    try {
      answer = await this.request(method, url, more);
    } catch {
      throw new ApiError(0, "This server does not answer.");
    }
    if (answer.status === 204) return null;
    const said = await answer.json().catch(() => null);
    if (answer.ok && said !== null) return said;
    throw new ApiError(answer.status, said?.message || `The server answered ${answer.status}.`);
  }

  /** Each event of a pull as `[name, document]`, until the stream ends; none where the server gives no stream. */
  async* events(id, signal) {
    const answer = await this.request("GET", `${this.at(id)}/events`, { signal });
    if (!answer.ok) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        if (field("data")) yield [field("event"), JSON.parse(field("data"))];
      }
    }
  }
}

/** Follow a pull to its end. It is told by the event stream, and asked for where the stream says nothing. */
class Follower {
  constructor(api, id, tell, lost) {
    Object.assign(this, { api, id, tell, lost, streaming: false, over: false });
    this.ended = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.stop = new AbortController();
    this.listen();
    this.later();
  }

  /** One stream after another, as long as there is something to hear. */
  async listen() {
    while (!this.over) {
      try {
        for await (const [name, pull] of this.api.events(this.id, this.stop.signal)) {
          this.streaming = true;
          if (name === "end") this.look();
          else this.heard(pull);
        }
      } catch {
        // The line is lost; to look says more, and the next stream begins where this one ended.
      }
      this.streaming = false;
      this.later();
      await new Promise((resolve) => { setTimeout(resolve, AGAIN); });
    }
  }

  heard(pull) {
    if (this.over) return;
    this.lost(false);
    try {
      this.tell(pull);
      this.later();
    } catch (error) {
      this.finish(() => this.reject(error));
    }
  }

  later() {
    clearTimeout(this.timer);
    if (!this.over) this.timer = setTimeout(() => this.look(), this.streaming ? QUIET : POLL);
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
    this.stop.abort();
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
