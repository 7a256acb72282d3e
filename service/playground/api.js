// The HTTP API of the service: JSON requests with the API key, and the server's error messages.

// The URL of this file contains the prefix under which a proxy serves the page.
const ROOT = new URL("..", import.meta.url).href;
const STORED_KEY = "tiedlm-key";
const keyListeners = [];

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Calls `listener(message)` when the server needs an API key or rejects the current one. */
export function onKeyNeeded(listener) {
  keyListeners.push(listener);
}

export function useKey(key) {
  sessionStorage.setItem(STORED_KEY, key);
}

export async function get(path) {
  return fetchJson(path, { headers: authHeaders() });
}

export async function post(path, body, signal) {
  const headers = { ...authHeaders(), "Content-Type": "application/json" };
  return fetchJson(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

function authHeaders() {
  const key = sessionStorage.getItem(STORED_KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function fetchJson(path, options) {
  let response;
  try {
    response = await fetch(ROOT + path.slice(1), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server is not responding.", 0);
  }
  const content = await response.json().catch(() => null);
  if (response.ok && content !== null) return content;
  const message = content?.error?.message ?? `The server returned HTTP ${response.status}.`;
  if (response.status === 401) keyListeners.forEach((listener) => listener(message));
  throw new ApiError(message, response.status);
}

/** Runs one task at a time. Of the tasks that arrive meanwhile, it runs only the latest. */
export class LatestTask {
  #running = false;
  #waiting = null;

  async run(task) {
    this.#waiting = task;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#waiting) {
        const next = this.#waiting;
        this.#waiting = null;
        await next();
      }
    } finally {
      this.#running = false;
    }
  }

  /** Whether a later task waits, so that the result of the running one is no longer needed. */
  get superseded() {
    return this.#waiting !== null;
  }
}

/** Shows an error in a view's alert; null hides it. A missing key is shown elsewhere. */
export function showError(alert, error) {
  const isShown = error && error.name !== "AbortError" && error.status !== 401;
  alert.hidden = !isShown;
  alert.textContent = isShown ? error.message : "";
}
