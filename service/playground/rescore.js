// The view that ranks hypotheses, one a line.

import { Latest, post, showError } from "./api.js";
import { csv, download } from "./csv.js";
import { examples, HYPOTHESES } from "./examples.js";
import { element, number } from "./figures.js";
import { fileButton } from "./files.js";

const TYPING_MILLISECONDS = 150;
const COLUMNS = ["", "hypothesis", "total", "score", "log-probability", "tokens", "unknown"];
const SHARE_UNKNOWN = 0.1; // of the tokens, from which a score flatters

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
  #found = document.getElementById("scores-found");
  #unknown = document.getElementById("rescore-unknown");
  #csv = document.getElementById("ranking-csv");
  #examples;
  #shown = []; // rows of the ranking, as the file has them
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
    const { hypotheses, context } = this.#fields;
    const type = (field, text) => {
      field.value = text;
      field.dispatchEvent(new Event("input"));
    };
    this.#examples = examples(HYPOTHESES, (example) => {
      context.value = example.context;
      type(hypotheses, example.hypotheses);
    });
    const opened = (text) => type(hypotheses, text.replace(/\s+$/u, ""));
    const file = fileButton(this.#section, opened, (error) => showError(this.#alert, error));
    hypotheses.after(this.#examples, file);
    this.#csv.addEventListener("click", () => download("ranking.csv", csv(FILE_COLUMNS, this.#shown)));
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
    this.#examples.hidden = hypotheses.length > 0;
    this.#found.textContent = found(hypotheses);
    try {
      if (hypotheses.length === 0) this.#clear();
      else this.#show(await post("/rescore", this.#request(hypotheses)), hypotheses);
      showError(this.#alert, null);
    } catch (error) {
      this.#clear();
      showError(this.#alert, error);
    }
    if (!this.#latest.overtaken) this.#ranking.setAttribute("aria-busy", "false");
  }

  #clear() {
    this.#ranking.replaceChildren();
    this.#unknown.textContent = "";
    this.#csv.hidden = true;
    this.#shown = [];
  }

  #request(hypotheses) {
    const { context, weight, bonus } = this.#fields;
    const request = { hypotheses, lm_weight: weight.valueAsNumber, length_bonus: bonus.valueAsNumber };
    if (context.value !== "") request.context = context.value;
    return request;
  }

  #show({ results }, hypotheses) {
    const table = element("table", "ranking");
    table.setAttribute("role", "table"); // a narrow screen stacks it, and it stays a table
    table.append(element("caption", "", `Best first of ${results.length}; a bar shows how probable each is beside the best`));
    const head = table.createTHead().insertRow();
    for (const name of COLUMNS) {
      const cell = element("th", "", name);
      cell.scope = "col";
      cell.setAttribute("role", "columnheader");
      if (name === "") cell.setAttribute("aria-label", "rank");
      head.append(cell);
    }
    const body = table.createTBody();
    const best = results[0].total;
    results.forEach((result, index) => body.append(row(result, index, best, hypotheses)));
    this.#ranking.replaceChildren(table);
    this.#unknown.textContent = unknown(results);
    this.#csv.hidden = false;
    this.#shown = results.map((result, index) => {
      const { text, total, logprob, token_count, oov_count } = result;
      return [index + 1, text, total, hypotheses[result.index].score ?? 0, logprob, token_count, oov_count];
    });
  }
}

const FILE_COLUMNS = ["rank", "hypothesis", "total", "score", "logprob", "tokens", "unknown"];

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
  figures.forEach((figure, column) => {
    const cell = element("td", "", figure);
    cell.dataset.name = COLUMNS[column + 2];
    made.append(cell);
  });
  made.setAttribute("role", "row");
  for (const cell of made.cells) cell.setAttribute("role", cell === text ? "rowheader" : "cell");
  return made;
}

/** How many lines begin with a score: one that was overlooked would change the ranking unseen. */
function found(hypotheses) {
  const lines = hypotheses.length;
  const scores = hypotheses.filter(({ score }) => score !== undefined).length;
  if (lines === 0) return "";
  if (scores === 0) return "No scores found: no line begins with a number, so the model alone ranks.";
  if (scores === lines) return lines === 1 ? "A score was found." : `Scores were found on all ${lines} lines.`;
  return `Scores were found on ${scores} of ${lines} lines; the other lines count as 0.`;
}

function unknown(results) {
  const many = results.filter((one) => one.oov_count > SHARE_UNKNOWN * (one.token_count - 1)).length;
  if (many === 0) return "";
  return (
    `More than a tenth of the words are unknown in ${many} of ${results.length} hypotheses. ` +
    "Their log-probabilities flatter, because each is scored as any unknown word, whatever it is."
  );
}

const SCORED = /^\s*([-+−]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(\s+)(\S.*)$/iu;
const COUNTED = /^\d+$/;

/**
 * Lines that hold something. A number and white space before the text are its score; a whole number
 * without a sign is one after a tab, or where every line begins with a number: "3 men in a boat".
 */
export function parse(text) {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const found = lines.map((line) => {
    const [, score, space, rest] = SCORED.exec(line) ?? [];
    const value = Number(score?.replace("−", "-"));
    if (score === undefined || !Number.isFinite(value)) return { text: line };
    return { text: rest, score: value, sure: space.includes("\t") || !COUNTED.test(score) };
  });
  const all = found.every(({ score }) => score !== undefined);
  return found.map(({ text: rest, score, sure }, index) => {
    if (score === undefined || !(sure || all)) return { text: lines[index] };
    return { text: rest, score };
  });
}
