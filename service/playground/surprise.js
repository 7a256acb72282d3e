// The view that colours every word of a text, or of two, by its surprisal or its rank.

import { showError } from "./api.js";
import { drawLegend } from "./colours.js";
import { stepStart } from "./figures.js";
import { isSubword } from "./model.js";
import { Pane } from "./pane.js";

export class Surprise {
  #section = document.getElementById("surprise");
  #alert = this.#section.querySelector(".error");
  #chosen = {
    unit: document.getElementById("unit"),
    colouring: document.getElementById("colouring"),
    by: document.getElementById("by"),
  };
  #compare = document.getElementById("compare");
  #panes = [];
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    this.#addPane("Text");
    for (const select of Object.values(this.#chosen)) {
      select.addEventListener("change", () => {
        this.#drawLegend();
        this.changed();
        this.refresh();
      });
    }
    this.#compare.addEventListener("click", () => {
      this.comparing = !this.comparing;
      this.changed();
      this.refresh();
    });
    this.#drawLegend();
  }

  get unit() {
    return this.#chosen.unit.value;
  }

  /** "surprisal" or "rank". */
  get colouring() {
    return this.#chosen.colouring.value;
  }

  /** What is coloured as one: "words" or "tokens". */
  get by() {
    return this.#chosen.by.value;
  }

  get comparing() {
    return this.#panes.length > 1;
  }

  set comparing(wanted) {
    if (wanted === this.comparing) return;
    this.#compare.setAttribute("aria-pressed", String(wanted));
    if (wanted) this.#addPane("Second text");
    else {
      document.getElementById("texts").lastElementChild.remove();
      this.#panes.pop();
    }
    document.getElementById("texts").classList.toggle("two", wanted);
  }

  read(parameters) {
    for (const [name, select] of Object.entries(this.#chosen)) {
      const found = parameters.get(name) ?? select.options[0].value;
      if ([...select.options].some((option) => option.value === found)) select.value = found;
    }
    this.#drawLegend();
    this.comparing = parameters.has("text2");
    this.#panes[0].value = parameters.get("text") ?? "";
    if (this.comparing) this.#panes[1].value = parameters.get("text2");
  }

  write(parameters) {
    for (const [name, select] of Object.entries(this.#chosen)) parameters.set(name, select.value);
    parameters.set("text", this.#panes[0].value);
    if (this.comparing) parameters.set("text2", this.#panes[1].value);
  }

  refresh() {
    this.#offerTokens();
    this.#panes.forEach((pane) => pane.score());
  }

  changed() {
    this.#onChange();
  }

  show(error) {
    showError(this.#alert, error);
  }

  /** Both lines on one axis. */
  draw() {
    const all = this.#panes.map((pane) => pane.surprisals);
    const most = all.flat().reduce((high, value) => Math.max(high, value ?? 0), stepStart(4, this.unit));
    this.#panes.forEach((pane) => pane.draw(most));
  }

  /** The tokens of a model of whole words are its words: there is nothing to choose. */
  async #offerTokens() {
    const label = this.#chosen.by.closest("label");
    label.hidden = !(await isSubword().catch(() => false));
  }

  #addPane(name) {
    const template = document.getElementById("text-template").content;
    const article = template.firstElementChild.cloneNode(true);
    document.getElementById("texts").append(article);
    this.#panes.push(new Pane(this, article, name));
  }

  #drawLegend() {
    drawLegend(document.getElementById("legend"), this.colouring, this.unit);
  }
}
