// Before the first paint: the theme that was chosen here last; else the system's.
const chosen = localStorage.getItem("tiedlm-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
