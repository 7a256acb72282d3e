// The page: its views as tabs, the link that brings its texts back, the theme and the key.

import { onKeyWanted, useKey } from "./api.js";
import { hide as hideCard } from "./card.js";
import { BEGINNINGS, HYPOTHESES, TEXTS } from "./examples.js";
import { number } from "./figures.js";
import { describe, model } from "./model.js";
import { NextWord } from "./next.js";
import { Rescore } from "./rescore.js";
import { Surprise } from "./surprise.js";

const EXAMPLES = {
  view: "surprise",
  text: Object.values(TEXTS)[0],
  words: Object.values(BEGINNINGS)[0],
  ...Object.values(HYPOTHESES)[0],
};
const WRITE_MILLISECONDS = 300;
// A longer text stands in the address only when it is to be shared.
const LONGEST_ADDRESS = 20_000;
const THEMES = ["system", "light", "dark"];

const views = {
  surprise: new Surprise(changed),
  next: new NextWord(changed),
  rescore: new Rescore(changed),
};
const tabs = [...document.querySelectorAll('[role="tab"]')];
const said = document.getElementById("said");
let current = "surprise";
let writing = 0;
let saying = 0;

function open(name) {
  current = Object.hasOwn(views, name) ? name : "surprise";
  hideCard();
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${current}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  for (const view of Object.keys(views)) {
    document.getElementById(view).hidden = view !== current;
  }
  views[current].refresh();
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const parameters = given.size ? given : new URLSearchParams(EXAMPLES);
  Object.values(views).forEach((view) => view.read(parameters));
  open(parameters.get("view"));
}

function address() {
  const parameters = new URLSearchParams({ view: current });
  Object.values(views).forEach((view) => view.write(parameters));
  return `#${parameters}`;
}

function changed() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const whole = address();
    history.replaceState(null, "", whole.length > LONGEST_ADDRESS ? `#view=${current}` : whole);
  }, WRITE_MILLISECONDS);
}

function say(text) {
  said.textContent = text;
  clearTimeout(saying);
  saying = setTimeout(() => (said.textContent = ""), 4000);
}

for (const tab of tabs) {
  tab.addEventListener("click", () => {
    open(tab.id.replace("tab-", ""));
    changed();
  });
  tab.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = tabs.at(to % tabs.length);
    next.focus();
    next.click();
  });
}

document.getElementById("share").addEventListener("click", async () => {
  clearTimeout(writing);
  history.replaceState(null, "", address());
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied: it brings these texts back.");
  } catch {
    say("The link is in the address bar: it brings these texts back.");
  }
});

const themeButton = document.getElementById("theme");

function showTheme(theme) {
  themeButton.textContent = `Theme: ${theme}`;
}

themeButton.addEventListener("click", () => {
  const root = document.documentElement;
  const theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  if (theme === "system") localStorage.removeItem("tiedlm-theme");
  else localStorage.setItem("tiedlm-theme", theme);
  showTheme(theme);
});

const keyForm = document.getElementById("key-form");

onKeyWanted((message) => {
  document.getElementById("key-why").textContent = message;
  if (keyForm.hidden) {
    keyForm.hidden = false;
    document.getElementById("key").focus();
  }
});

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("key");
  useKey(field.value.trim());
  field.value = "";
  keyForm.hidden = true;
  showModel();
  views[current].refresh();
});

async function showModel() {
  const info = await model().catch(() => null);
  if (info !== null) document.getElementById("model").textContent = describe(info, number);
}

window.addEventListener("hashchange", readAddress);
showTheme(document.documentElement.dataset.theme ?? "system");
showModel();
readAddress();
