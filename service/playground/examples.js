// Example texts, offered as buttons in an empty view.

import { createElement } from "./dom.js";
import { isSubword } from "./model_info.js";

const OTHER_SCRIPTS = {
  Chinese: "河水从山上流下来，一年四季都很清。\n我们可以使用这个模型。",
  Japanese: "川の水は山から流れてきて、一年中とても澄んでいる。",
  Thai: "แม่น้ำไหลลงมาจากภูเขา น้ำใสตลอดปี",
  "Source code": "def mean(values):\n    total = sum(values)\n    return total / len(values)",
};

export const TEXTS = {
  "A ship and a piano":
    "The ship was built in London in 1897.\n" +
    "It sank in a storm off the coast of Scotland, and the captain was eaten by a piano.",
  "A garden path": "The old man the boat.\nThe horse raced past the barn fell.",
  "A news item": "The prime minister said on Tuesday that the government would not raise taxes this year.",
};
export const BEGINNINGS = {
  "The capital of …": "The capital of ",
  "The ship was built in Lo…": "The ship was built in Lo",
  "One of the most …": "One of the most ",
};
export const HYPOTHESES = {
  "A bridge and a liver": {
    context: "The bridge crosses",
    hypotheses: "-1.0 the liver\n-1.2 the river\n-1.4 the rival\n-2.9 a river",
  },
  "Recognise speech": {
    context: "",
    hypotheses: "-4.1 It is hard to wreck a nice beach\n-4.3 It is hard to recognise speech",
  },
};

/** Creates a row of example buttons; a click calls `onChoose(example)`. */
export function exampleRow(choices, onChoose) {
  const row = createElement("p", "examples");
  row.append(createElement("span", "hint", "Try an example:"));
  addButtons(row, choices, onChoose);
  return row;
}

/** Adds examples in other scripts, unless all of their words would be unknown to a word model. */
export async function addOtherScripts(row, onChoose) {
  if (await isSubword().catch(() => false)) addButtons(row, OTHER_SCRIPTS, onChoose);
}

function addButtons(row, choices, onChoose) {
  for (const [name, example] of Object.entries(choices)) {
    const button = createElement("button", "chip", name);
    button.type = "button";
    button.addEventListener("click", () => onChoose(example));
    row.append(button);
  }
}
