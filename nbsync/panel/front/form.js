// What goes to the kernel: commands, and the fields that follow its traits.

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

