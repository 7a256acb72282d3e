// Applies the stored theme before the first paint. Without one, the system's theme applies.
const storedTheme = localStorage.getItem("tiedlm-theme");
if (storedTheme) document.documentElement.dataset.theme = storedTheme;
