// The view that ranks hypotheses.

import { LatestTask, post, showError } from "./api.js";
import { download, toCsv } from "./csv.js";
import { createElement } from "./dom.js";
import { exampleRow, HYPOTHESES } from "./examples.js";
import { formatNumber } from "./format.js";
import { describeScores, parseHypotheses } from "./hypotheses.js";
import { fileButton } from "./text_files.js";

const TYPING_MILLISECONDS = 150;
const COLUMNS = ["", "hypothesis", "total", "score", "log-probability", "tokens", "unknown"];
const CSV_COLUMNS = ["rank", "hypothesis", "total", "score", "logprob", "tokens", "unknown"];
const MIN_NOTED_SHARE = 0.1; // of unknown words
const DEFAULTS = { hypotheses: "", context: "", weight: "1", bonus: "0" };

export class RescoreView {
  #section = document.getElementById("rescore");
  #alert = this.#section.querySelector(".error");
  #fields = {
    hypotheses: document.getElementById("hypotheses"),
    context: document.getElementById("context"),
    weight: document.getElementById("lm-weight"),
    bonus: document.getElementById("length-bonus"),
  };
  #ranking = document.getElementById("ranking");
  #scoresNote = document.getElementById("scores-found");
  #unknownNote = document.getElementById("rescore-unknown");
  #csvButton = document.getElementById("ranking-csv");
  #examples;
  #csvRows = [];
  #latest = new LatestTask();
  #typingTimer = 0;

  constructor(onChange) {
    for (const field of Object.values(this.#fields)) {
      field.addEventListener("input", () => {
        onChange();
        this.#ranking.setAttribute("aria-busy", "true");
        clearTimeout(this.#typingTimer);
        this.#typingTimer = setTimeout(() => this.refresh(), TYPING_MILLISECONDS);
      });
    }
    const { hypotheses, context } = this.#fields;
    const setHypotheses = (text) => {
      hypotheses.value = text;
      hypotheses.dispatchEvent(new Event("input"));
    };
    this.#examples = exampleRow(HYPOTHESES, (example) => {
      context.value = example.context;
      setHypotheses(example.hypotheses);
    });
    const onText = (text) => setHypotheses(text.replace(/\s+$/u, ""));
    const file = fileButton(this.#section, onText, (error) => showError(this.#alert, error));
    hypotheses.after(this.#examples, file);
    this.#csvButton.addEventListener("click", () => download("ranking.csv", toCsv(CSV_COLUMNS, this.#csvRows)));
  }

  load(parameters) {
    for (const [name, field] of Object.entries(this.#fields)) {
      field.value = parameters.get(name) ?? DEFAULTS[name];
    }
  }

  save(parameters) {
    for (const [name, field] of Object.entries(this.#fields)) parameters.set(name, field.value);
  }

  /** Ranks the current hypotheses. */
  refresh() {
    this.#ranking.setAttribute("aria-busy", "true");
    return this.#latest.run(() => this.#rank());
  }

  async #rank() {
    const hypotheses = parseHypotheses(this.#fields.hypotheses.value);
    this.#examples.hidden = hypotheses.length > 0;
    this.#scoresNote.textContent = describeScores(hypotheses);
    try {
      if (hypotheses.length === 0) this.#clear();
      else this.#show(await post("/rescore", this.#request(hypotheses)), hypotheses);
      showError(this.#alert, null);
    } catch (error) {
      this.#clear();
      showError(this.#alert, error);
    }
    if (!this.#latest.superseded) this.#ranking.setAttribute("aria-busy", "false");
  }

  #clear() {
    this.#ranking.replaceChildren();
    this.#unknownNote.textContent = "";
    this.#csvButton.hidden = true;
    this.#csvRows = [];
  }

  #request(hypotheses) {
    const { context, weight, bonus } = this.#fields;
    const request = { hypotheses, lm_weight: weight.valueAsNumber, length_bonus: bonus.valueAsNumber };
    if (context.value !== "") request.context = context.value;
    return request;
  }

  #show({ results }, hypotheses) {
    this.#ranking.replaceChildren(createRanking(results, hypotheses));
    this.#unknownNote.textContent = describeUnknown(results);
    this.#csvButton.hidden = false;
    this.#csvRows = results.map((result, index) => {
      const { text, total, logprob, token_count, oov_count } = result;
      return [index + 1, text, total, hypotheses[result.index].score ?? 0, logprob, token_count, oov_count];
    });
  }
}

function createRanking(results, hypotheses) {
  const table = createElement("table", "ranking");
  table.setAttribute("role", "table"); // CSS changes its display on narrow screens
  const caption = `${results.length} hypotheses, best first; bars show the probability relative to the best`;
  table.append(createElement("caption", "", caption));
  const head = table.createTHead().insertRow();
  for (const name of COLUMNS) {
    const cell = createElement("th", "", name);
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    if (name === "") cell.setAttribute("aria-label", "rank");
    head.append(cell);
  }
  const body = table.createTBody();
  const best = results[0].total;
  results.forEach((result, index) => body.append(createRow(result, index, best, hypotheses)));
  return table;
}

function createRow(result, index, best, hypotheses) {
  const row = createElement("tr", index === 0 ? "best" : "");
  const heading = createElement("th", "hypothesis");
  heading.scope = "row";
  const text = createElement("span", "", result.text);
  text.dir = "auto";
  const bar = createElement("span", "bar-fill");
  bar.style.width = `${Math.exp(result.total - best) * 100}%`; // totals are logarithms
  heading.append(text, bar);
  row.append(createElement("td", "rank", String(index + 1)), heading);
  const score = hypotheses[result.index].score ?? 0;
  const values = [formatNumber(result.total), formatNumber(score), formatNumber(result.logprob)];
  values.push(String(result.token_count), String(result.oov_count));
  values.forEach((value, column) => {
    const cell = createElement("td", "", value);
    cell.dataset.name = COLUMNS[column + 2];
    row.append(cell);
  });
  row.setAttribute("role", "row");
  for (const cell of row.cells) cell.setAttribute("role", cell === heading ? "rowheader" : "cell");
  return row;
}

function describeUnknown(results) {
  const isNoted = ({ oov_count, token_count }) => oov_count > MIN_NOTED_SHARE * (token_count - 1);
  const count = results.filter(isNoted).length;
  if (count === 0) return "";
  return (
    `More than a tenth of the words are unknown in ${count} of ${results.length} hypotheses. Their ` +
    "log-probabilities are too high, because each unknown word has the probability of all of them together."
  );
}
