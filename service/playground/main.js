// The page: the views as tabs, the link that stores their texts, the theme and the API key.

import { onKeyNeeded, useKey } from "./api.js";
import { hide as hideCard } from "./card.js";
import { BEGINNINGS, HYPOTHESES, TEXTS } from "./examples.js";
import { describeModel, modelInfo } from "./model_info.js";
import { NextWordView } from "./next_word_view.js";
import { RescoreView } from "./rescore_view.js";
import { SurpriseView } from "./surprise_view.js";

const DEFAULTS = {
  view: "surprise",
  text: Object.values(TEXTS)[0],
  words: Object.values(BEGINNINGS)[0],
  ...Object.values(HYPOTHESES)[0],
};
const LINK_DELAY_MILLISECONDS = 300;
const TOAST_MILLISECONDS = 4000;
// Longer texts are stored in the address only when they are shared.
const MAX_LINK_CHARACTERS = 20_000;
const THEMES = ["system", "light", "dark"];

const views = {
  surprise: new SurpriseView(updateLink),
  next: new NextWordView(updateLink),
  rescore: new RescoreView(updateLink),
};
const tabs = [...document.querySelectorAll('[role="tab"]')];
const toast = document.getElementById("toast");
let current = "surprise";
let linkTimer = 0;
let toastTimer = 0;

function openView(name) {
  current = Object.hasOwn(views, name) ? name : "surprise";
  hideCard();
  for (const tab of tabs) {
    const isSelected = tab.id === `tab-${current}`;
    tab.setAttribute("aria-selected", String(isSelected));
    tab.tabIndex = isSelected ? 0 : -1;
  }
  for (const view of Object.keys(views)) {
    document.getElementById(view).hidden = view !== current;
  }
  views[current].refresh();
}

function loadLink() {
  const fromLink = new URLSearchParams(location.hash.slice(1));
  const parameters = fromLink.size ? fromLink : new URLSearchParams(DEFAULTS);
  Object.values(views).forEach((view) => view.load(parameters));
  openView(parameters.get("view"));
}

function linkFragment() {
  const parameters = new URLSearchParams({ view: current });
  Object.values(views).forEach((view) => view.save(parameters));
  return `#${parameters}`;
}

function updateLink() {
  clearTimeout(linkTimer);
  linkTimer = setTimeout(() => {
    const fragment = linkFragment();
    history.replaceState(null, "", fragment.length > MAX_LINK_CHARACTERS ? `#view=${current}` : fragment);
  }, LINK_DELAY_MILLISECONDS);
}

function showToast(text) {
  toast.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (toast.textContent = ""), TOAST_MILLISECONDS);
}

for (const tab of tabs) {
  tab.addEventListener("click", () => {
    openView(tab.id.replace("tab-", ""));
    updateLink();
  });
  tab.addEventListener("keydown", (event) => {
    const index = tabs.indexOf(tab);
    const target = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: -1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const next = tabs.at(target % tabs.length);
    next.focus();
    next.click();
  });
}

document.getElementById("share").addEventListener("click", async () => {
  clearTimeout(linkTimer);
  history.replaceState(null, "", linkFragment());
  try {
    await navigator.clipboard.writeText(location.href);
    showToast("Link copied. It restores these texts.");
  } catch {
    showToast("Copy the link in the address bar. It restores these texts.");
  }
});

const themeButton = document.getElementById("theme");

function showTheme(theme) {
  themeButton.textContent = `Theme: ${theme}`;
}

themeButton.addEventListener("click", () => {
  const root = document.documentElement;
  const theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
  if (theme === "system") {
    delete root.dataset.theme;
    localStorage.removeItem("tiedlm-theme");
  } else {
    root.dataset.theme = theme;
    localStorage.setItem("tiedlm-theme", theme);
  }
  showTheme(theme);
});

const keyForm = document.getElementById("key-form");
const keyField = document.getElementById("key");

onKeyNeeded((message) => {
  document.getElementById("key-message").textContent = message;
  if (keyForm.hidden) {
    keyForm.hidden = false;
    keyField.focus();
  }
});

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(keyField.value.trim());
  keyField.value = "";
  keyForm.hidden = true;
  showModel();
  views[current].refresh();
});

async function showModel() {
  const info = await modelInfo().catch(() => null);
  if (info !== null) document.getElementById("model").textContent = describeModel(info);
}

window.addEventListener("hashchange", loadLink);
showTheme(document.documentElement.dataset.theme ?? "system");
showModel();
loadLink();
