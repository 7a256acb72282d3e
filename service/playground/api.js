// The service as the page asks it: JSON, the API key, and errors in the server's own words.

// The service may stand under a prefix of a proxy; this file knows where it came from.
const ROOT = new URL("..", import.meta.url).href;
const KEY = "tiedlm-key";
const whenKeyWanted = [];

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** `listener(message)` is called when the server wants a key, or another one. */
export function onKeyWanted(listener) {
  whenKeyWanted.push(listener);
}

export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

export async function get(path) {
  return exchange(path, { headers: headers() });
}

export async function post(path, body, signal) {
  const sent = { ...headers(), "Content-Type": "application/json" };
  return exchange(path, { method: "POST", headers: sent, body: JSON.stringify(body), signal });
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function exchange(path, request) {
  let response;
  try {
    response = await fetch(ROOT + path.slice(1), request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer.", 0);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  const message = answer?.error?.message ?? `The server answered ${response.status}.`;
  if (response.status === 401) whenKeyWanted.forEach((listener) => listener(message));
  throw new ApiError(message, response.status);
}

/** Runs one task at a time; of those that come meanwhile, the latest alone is run after it. */
export class Latest {
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

  /** Whether a later task waits, so that what the running one finds is of no use any more. */
  get overtaken() {
    return this.#waiting !== null;
  }
}

/** Shows an error in a view's alert, or takes it away. A wish for a key has its own place. */
export function showError(alert, error) {
  const shown = error && error.name !== "AbortError" && error.status !== 401;
  alert.hidden = !shown;
  alert.textContent = shown ? error.message : "";
}
