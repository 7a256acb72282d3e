// What stands in an empty view: examples to try, and a way to open a file.

import { element } from "./figures.js";
import { isSubword } from "./model.js";

const SCRIPTS = {
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

/** Examples as buttons; `take(example)` gets the one that was chosen. */
export function examples(choices, take) {
  const made = element("p", "examples");
  made.append(element("span", "hint", "Nothing here yet. Try"));
  for (const [name, example] of Object.entries(choices)) made.append(chip(name, () => take(example)));
  return made;
}

/** The examples in other scripts, which say something of models that have no unknown words. */
export async function addScripts(row, take) {
  if (!(await isSubword().catch(() => false))) return;
  for (const [name, text] of Object.entries(SCRIPTS)) row.append(chip(name, () => take(text)));
}

function chip(name, onClick) {
  const button = element("button", "chip", name);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}
