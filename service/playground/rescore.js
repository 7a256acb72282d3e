// The view that ranks hypotheses, one a line.

import { Latest, post, showError } from "./api.js";
import { element, number } from "./figures.js";

const TYPING_MILLISECONDS = 150;
const COLUMNS = ["", "hypothesis", "total", "score", "log-probability", "tokens", "unknown"];

export class Rescore {
  #section = document.getElementById("rescore");
  #alert = this.#section.querySelector(".error");
  #fields = {
    hypotheses: document.getElementById("hypotheses"),
    context: document.getElementById("context"),
    weight: document.getElementById("lm-weight"),
    bonus: document.getElementById("length-bonus"),
  };
  #ranking = document.getElementById("ranking");
  #latest = new Latest();
  #timer = 0;

  constructor(onChange) {
    for (const field of Object.values(this.#fields)) {
      field.addEventListener("input", () => {
        onChange();
        this.#ranking.setAttribute("aria-busy", "true");
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.refresh(), TYPING_MILLISECONDS);
      });
    }
  }

  read(parameters) {
    const defaults = { hypotheses: "", context: "", weight: "1", bonus: "0" };
    for (const [name, field] of Object.entries(this.#fields)) {
      field.value = parameters.get(name) ?? defaults[name];
    }
  }

  write(parameters) {
    for (const [name, field] of Object.entries(this.#fields)) parameters.set(name, field.value);
  }

  refresh() {
    this.#ranking.setAttribute("aria-busy", "true");
    return this.#latest.run(() => this.#rank());
  }

  async #rank() {
    const hypotheses = parse(this.#fields.hypotheses.value);
    try {
      if (hypotheses.length === 0) this.#ranking.replaceChildren();
      else this.#show(await post("/rescore", this.#request(hypotheses)), hypotheses);
      showError(this.#alert, null);
    } catch (error) {
      this.#ranking.replaceChildren();
      showError(this.#alert, error);
    }
    if (!this.#latest.overtaken) this.#ranking.setAttribute("aria-busy", "false");
  }

  #request(hypotheses) {
    const { context, weight, bonus } = this.#fields;
    const request = { hypotheses, lm_weight: weight.valueAsNumber, length_bonus: bonus.valueAsNumber };
    if (context.value !== "") request.context = context.value;
    return request;
  }

  #show({ results }, hypotheses) {
    const table = element("table", "ranking");
    table.append(element("caption", "", `Best first of ${results.length}; a bar shows how probable each is beside the best`));
    const head = table.createTHead().insertRow();
    for (const name of COLUMNS) {
      const cell = element("th", "", name);
      cell.scope = "col";
      if (name === "") cell.setAttribute("aria-label", "rank");
      head.append(cell);
    }
    const body = table.createTBody();
    const best = results[0].total;
    results.forEach((result, index) => body.append(row(result, index, best, hypotheses)));
    this.#ranking.replaceChildren(table);
  }
}

function row(result, index, best, hypotheses) {
  const made = element("tr", index === 0 ? "best" : "");
  const text = element("th", "hypothesis");
  text.scope = "row";
  const words = element("span", "", result.text);
  words.dir = "auto";
  const bar = element("span", "bar-fill");
  // e to the difference: how many times less probable than the best.
  bar.style.width = `${Math.exp(result.total - best) * 100}%`;
  text.append(words, bar);
  made.append(element("td", "rank", String(index + 1)), text);
  const given = hypotheses[result.index].score ?? 0;
  const figures = [number(result.total), number(given), number(result.logprob)];
  figures.push(String(result.token_count), String(result.oov_count));
  figures.forEach((figure) => made.append(element("td", "", figure)));
  return made;
}

/** Lines that hold something; a number and a tab before the text are its score. */
export function parse(text) {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, score, rest] = /^\s*([-+−]?[\d.]+(?:e[-+]?\d+)?)\t(.*)$/iu.exec(line) ?? [];
      const value = Number(score?.replace("−", "-"));
      return score !== undefined && Number.isFinite(value) ? { text: rest, score: value } : { text: line };
    });
}
