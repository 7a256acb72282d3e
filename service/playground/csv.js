// Tables as CSV files: UTF-8, RFC 4180, without cells that a spreadsheet would run as a formula.

const FORMULA = /^[\s\u200b\ufeff]*[=+\-@＝＋－＠|%]|^[\t\r\n]/u;
const REVOKE_MILLISECONDS = 60_000;

/** The text of the file. Numbers are not quoted; null is an empty cell. */
export function toCsv(head, rows) {
  return [head, ...rows].map((row) => `${row.map(toCell).join(",")}\r\n`).join("");
}

function toCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  // A leading apostrophe turns a formula into text (OWASP, CSV injection).
  const safe = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/u.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Downloads `content` as a file. */
export function download(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_MILLISECONDS);
}
