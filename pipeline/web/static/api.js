// Asking the worker. Every failure is an ApiError whose `kind` says what the page should do about it.
import { session } from "./session.js";

const TIMEOUT_MS = 8000;

/**
 * kind: unreachable (no answer at all), unauthorized, forbidden, absent (404), unavailable (502, 503: being recovered or
 * moved), slow_down (429), invalid (other 4xx), failed (5xx).
 */
export class ApiError extends Error {
  constructor(kind, message, { status = 0, errors = [], retryAfter = null } = {}) {
    super(message);
    this.kind = kind;
    this.status = status;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

const KINDS = { 401: "unauthorized", 403: "forbidden", 404: "absent", 429: "slow_down", 502: "unavailable", 503: "unavailable" };

function kindOf(status) {
  return KINDS[status] ?? (status >= 500 ? "failed" : "invalid");
}

async function problem(response) {
  let document = {};
  try {
    document = await response.json();
  } catch {
    // an error that is no problem document, such as a proxy's
  }
  const message = document.detail || document.title || `The worker answered ${response.status}.`;
  return new ApiError(kindOf(response.status), message, {
    status: response.status,
    errors: Array.isArray(document.errors) ? document.errors : [],
    retryAfter: Number(response.headers.get("Retry-After")) || null,
  });
}

/**
 * The JSON of an answer.
 *
 * @param {string} method of HTTP
 * @param {string} path with its query
 * @param {{json?: unknown, form?: object, signal?: AbortSignal, timeoutMs?: number, anonymous?: boolean}} [options]
 * @throws {ApiError} and, where `signal` was aborted, its AbortError
 */
export async function ask(method, path, { json, form, signal, timeoutMs = TIMEOUT_MS, anonymous = false } = {}) {
  const headers = { Accept: "application/json" };
  const token = anonymous ? null : session.token;
  if (token) headers.Authorization = `Bearer ${token}`;
  let body;
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = typeof json === "string" ? json : JSON.stringify(json);
  } else if (form) {
    body = new URLSearchParams(form);
  }
  const limit = AbortSignal.timeout(timeoutMs);
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body,
      cache: "no-store",
      credentials: "omit",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    if (response.ok) return await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (limit.aborted) throw new ApiError("unreachable", `The worker has not answered within ${timeoutMs / 1000} s.`);
    throw new ApiError("unreachable", "The worker cannot be reached.");
  }
  const failure = await problem(response);
  // Only the session that asked ends: an answer to an old token must not sign out a new one.
  if (failure.kind === "unauthorized" && token && token === session.token) {
    session.end(`You were signed out: ${failure.message.split(";")[0]}. Please sign in again.`);
  }
  throw failure;
}

export const get = (path, options) => ask("GET", path, options);

/** A path with a query of those values that are not empty. */
export function withQuery(path, values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null));
  return query.size ? `${path}?${query}` : path;
}
