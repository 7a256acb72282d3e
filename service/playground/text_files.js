// Text files that the user chooses with a button or drops on a view.

import { createElement } from "./dom.js";
import { formatNumber } from "./format.js";

const MAX_BYTES = 1 << 20; // about 170,000 words, the most that one request may have
const ACCEPTED = "text/*,.txt,.text,.md,.tsv,.csv,.json,.py,.log";

/** Reads a file as text. Throws an Error with a message for the user. */
async function readText(file) {
  if (file.size > MAX_BYTES) {
    const size = formatNumber(file.size / (1 << 20), 1);
    throw new Error(`${file.name} is too large: ${size} MiB (at most 1 MiB here). Score it with "python -m service.bulk".`);
  }
  const bytes = await file.arrayBuffer().catch(() => {
    throw new Error(`${file.name} cannot be read. Choose a text file, not a folder.`);
  });
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${file.name} is not UTF-8 text. Save it as UTF-8 and open it again.`);
  }
  if (text.includes("\0")) {
    throw new Error(`${file.name} contains NUL bytes, so it is not a text file. Save it as UTF-8 and open it again.`);
  }
  return text;
}

/**
 * Creates a button that opens a file. A file may also be dropped on `zone`. Calls `onText(text)`
 * with the text and `onError(null)`, or `onError(error)` if the file cannot be read.
 */
export function fileButton(zone, onText, onError) {
  const input = createElement("input", "file");
  Object.assign(input, { type: "file", accept: ACCEPTED, hidden: true });
  const button = createElement("button", "quiet", "Open a text file");
  button.type = "button";
  button.addEventListener("click", () => input.click());
  const open = async (files) => {
    if (files.length === 0) return;
    try {
      if (files.length > 1) throw new Error(`${files.length} files were dropped. Drop one at a time.`);
      onText(await readText(files[0]));
      onError(null);
    } catch (error) {
      onError(error);
    }
  };
  input.addEventListener("change", async () => {
    await open([...input.files]);
    input.value = ""; // otherwise the same file could not be opened again
  });
  acceptDrops(zone, open);
  const row = createElement("span", "files");
  row.append(button, input, createElement("span", "hint", "or drop one here"));
  return row;
}

function acceptDrops(zone, open) {
  const highlight = (on) => zone.classList.toggle("over", on);
  zone.addEventListener("dragover", (event) => hasFiles(event) && highlight(true));
  zone.addEventListener("dragleave", (event) => zone.contains(event.relatedTarget) || highlight(false));
  zone.addEventListener("drop", (event) => {
    highlight(false);
    if (hasFiles(event)) open([...event.dataTransfer.files]);
  });
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

// The browser opens a file that is dropped outside of a zone; this would close the page.
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => hasFiles(event) && event.preventDefault());
}
