// Text files: chosen with a button or dropped on a view.

import { element, number } from "./figures.js";

const MOST_BYTES = 1 << 20; // about 170,000 words, as many as one request may hold

/** The text of a file. Throws an Error whose message says what is wrong with it. */
export async function readText(file) {
  if (file.size > MOST_BYTES) {
    const size = number(file.size / (1 << 20), 1);
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
    throw new Error(`${file.name} holds NUL bytes, so it is not a text. Save it as UTF-8 and open it again.`);
  }
  return text;
}

/**
 * A button that opens a file; the same file may be dropped on `zone`. `take(text)` gets its text,
 * `fail(error)` what went wrong, and null when nothing did.
 */
export function fileButton(zone, take, fail) {
  const input = element("input", "file");
  Object.assign(input, { type: "file", accept: "text/*,.txt,.text,.md,.tsv,.csv,.json,.py,.log", hidden: true });
  const button = element("button", "quiet", "Open a text file");
  button.type = "button";
  button.addEventListener("click", () => input.click());
  const open = async (files) => {
    if (files.length === 0) return;
    try {
      if (files.length > 1) throw new Error(`${files.length} files were dropped. Drop one at a time.`);
      take(await readText(files[0]));
      fail(null);
    } catch (error) {
      fail(error);
    }
  };
  input.addEventListener("change", async () => {
    await open([...input.files]);
    input.value = ""; // so that the same file can be opened again
  });
  const over = (on) => zone.classList.toggle("over", on);
  zone.addEventListener("dragover", (event) => holdsFiles(event) && over(true));
  zone.addEventListener("dragleave", (event) => zone.contains(event.relatedTarget) || over(false));
  zone.addEventListener("drop", (event) => {
    over(false);
    if (holdsFiles(event)) open([...event.dataTransfer.files]);
  });
  const made = element("span", "files");
  made.append(button, input, element("span", "hint", "or drop one here"));
  return made;
}

function holdsFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

/** A file that misses its place must not take the page away. */
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => holdsFiles(event) && event.preventDefault());
}
