// The view that colours every word of one or two texts by its surprisal or its rank.

import { showError } from "./api.js";
import { drawLegend, stepStart } from "./colours.js";
import { isSubword } from "./model_info.js";
import { TextPane } from "./text_pane.js";

const MIN_AXIS_STEPS = 4; // colour steps that the axis of the curve shows at least

export class SurpriseView {
  #section = document.getElementById("surprise");
  #alert = this.#section.querySelector(".error");
  #options = {
    unit: document.getElementById("unit"),
    colouring: document.getElementById("colouring"),
    by: document.getElementById("by"),
  };
  #compareButton = document.getElementById("compare");
  #texts = document.getElementById("texts");
  #panes = [];

  constructor(onChange) {
    this.onChange = onChange;
    this.#addPane("Text");
    for (const select of Object.values(this.#options)) {
      select.addEventListener("change", () => {
        this.#drawLegend();
        this.onChange();
        this.refresh();
      });
    }
    this.#compareButton.addEventListener("click", () => {
      this.#setComparing(!this.#isComparing);
      this.onChange();
      this.refresh();
    });
    this.#drawLegend();
  }

  get unit() {
    return this.#options.unit.value;
  }

  /** "surprisal" or "rank". */
  get colouring() {
    return this.#options.colouring.value;
  }

  /** The kind of items: "words" or "tokens". */
  get by() {
    return this.#options.by.value;
  }

  get #isComparing() {
    return this.#panes.length > 1;
  }

  #setComparing(comparing) {
    if (comparing === this.#isComparing) return;
    this.#compareButton.setAttribute("aria-pressed", String(comparing));
    if (comparing) this.#addPane("Second text");
    else {
      this.#texts.lastElementChild.remove();
      this.#panes.pop();
    }
    this.#texts.classList.toggle("two", comparing);
  }

  load(parameters) {
    for (const [name, select] of Object.entries(this.#options)) {
      const value = parameters.get(name) ?? select.options[0].value;
      if ([...select.options].some((option) => option.value === value)) select.value = value;
    }
    this.#drawLegend();
    this.#setComparing(parameters.has("text2"));
    this.#panes[0].value = parameters.get("text") ?? "";
    if (this.#isComparing) this.#panes[1].value = parameters.get("text2");
  }

  save(parameters) {
    for (const [name, select] of Object.entries(this.#options)) parameters.set(name, select.value);
    parameters.set("text", this.#panes[0].value);
    if (this.#isComparing) parameters.set("text2", this.#panes[1].value);
  }

  /** Scores all texts. */
  refresh() {
    this.#updateItemOption();
    this.#panes.forEach((pane) => pane.score());
  }

  showError(error) {
    showError(this.#alert, error);
  }

  /** Draws the curves of both texts on the same axis. */
  drawCurves() {
    const values = this.#panes.flatMap((pane) => pane.surprisals);
    const axisEnd = stepStart(MIN_AXIS_STEPS, this.unit);
    const max = values.reduce((high, value) => Math.max(high, value ?? 0), axisEnd);
    this.#panes.forEach((pane) => pane.drawCurve(max));
  }

  /** Hides the choice between words and tokens for word models, whose tokens are words. */
  async #updateItemOption() {
    const label = this.#options.by.closest("label");
    label.hidden = !(await isSubword().catch(() => false));
  }

  #addPane(name) {
    const template = document.getElementById("text-template").content;
    const article = template.firstElementChild.cloneNode(true);
    this.#texts.append(article);
    this.#panes.push(new TextPane(this, article, name));
  }

  #drawLegend() {
    drawLegend(document.getElementById("legend"), this.colouring, this.unit);
  }
}
