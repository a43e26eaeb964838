// Starts the first worker as soon as the browser has read this script, before the page is laid out.
//
// It is a script of its own, loaded `async`: it waits neither for the style sheets nor for the scripts
// that draw the page. What the worker says before the page listens is kept. Where the page may have
// to be reloaded to be isolated, see offline.js, the worker is started after that is decided.

import { startConfined } from "./confined_worker.js";

/** @typedef {{worker: Worker, replay: () => void}} Started */

/** @type {Started | null} */
let first = null;

/** @returns {Worker} */
const start = () => startConfined("worker.js", "offcut");

/**
 * Return a worker that starts, or has: its `replay` repeats, for the listeners added by then, what it
 * has said meanwhile.
 * @returns {Started}
 */
export function takeWorker() {
  const taken = first ?? { worker: start(), replay: () => {} };
  first = null;
  return taken;
}

/** @param {Worker} worker @returns {Started} */
function listened(worker) {
  /** @type {Event[]} */
  const heard = [];
  /** @param {Event} event */
  const hear = (event) => heard.push(event);
  for (const type of ["message", "error"]) worker.addEventListener(type, hear);
  const replay = () => {
    for (const type of ["message", "error"]) worker.removeEventListener(type, hear);
    for (const event of heard) worker.dispatchEvent(again(event));
  };
  return { worker, replay };
}

/** @param {Event} event @returns {Event} one that can be dispatched */
function again(event) {
  if (event instanceof MessageEvent) return new MessageEvent("message", { data: event.data });
  return new ErrorEvent("error", { message: event instanceof ErrorEvent ? event.message : "" });
}

if (crossOriginIsolated || navigator.serviceWorker?.controller) first = listened(start());
