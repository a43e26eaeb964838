// Calls Python in the worker: one call at a time, with progress and cancellation.
//
// The protocol, as plain objects over postMessage:
//
//   page -> worker    {expect: name, build}         at once: the model that will be opened, "" is
//                                                   the default; it is fetched while Python starts;
//                                                   and the page's build, "" is any
//                     {id, method, params}          call the @method of offcut.web.handlers
//                     {id, cancel: true}            stop that call soon
//   worker -> page    {boot: {stage, done, total, unit}}
//                                                   stages: files, python, offcut, up
//                     {fatal: {type, message, remedy}}
//                                                   the worker is of no more use
//                     {id, progress: {stage, done, total, unit}}
//                     {id, result}                  the call's value
//                     {id, error: {type, message, remedy}}
//
// ids are whole numbers from 1; every call gets exactly one result or error, cancelled ones too
// (type "Cancelled"). unit is "bytes" or "steps". Photos and results travel as Blobs.

import { Failure } from "./failure.js";

/** @typedef {import("./boot.js").Progress} Progress */
/** @typedef {(progress: Progress) => void} OnProgress */
/**
 * @typedef {object} Call
 * @property {string} method
 * @property {object} params
 * @property {AbortSignal | undefined} signal
 * @property {OnProgress} progress
 * @property {(value: any) => void} resolve
 * @property {(failure: Failure) => void} reject
 */

const SILENCE = 30_000; // milliseconds without a message, after which a busy worker is given up
const ACKNOWLEDGE = 1_000; // milliseconds in which a cancelled call must end

export class Bridge {
  /** @type {Call[]} */
  #waiting = [];
  /** @type {Call | null} */
  #running = null;
  #id = 0;
  #up = false;
  #lost = /** @type {Failure | null} */ (null);
  #then = /** @type {"at work" | "idle"} */ ("idle");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watchdog;

  /**
   * @param {Worker} worker
   * @param {string} model that will be opened
   * @param {OnProgress} onBoot
   * @param {(failure: Failure) => void} onLost the worker is gone; called once
   */
  constructor(worker, model, onBoot, onLost) {
    this.worker = worker;
    worker.postMessage({ expect: model, build: document.documentElement.dataset.build ?? "" });
    this.onBoot = onBoot;
    this.onLost = onLost;
    worker.addEventListener("message", ({ data }) => this.#receive(data));
    worker.addEventListener("error", (event) => {
      const why = event.message || "a script of the worker is missing or damaged";
      this.#lose(new Failure("WorkerError", `Offcut stopped: ${why}`, "try again"));
    });
    this.#watch();
  }

  /**
   * Call `method` once the calls before it are done.
   * @param {string} method
   * @param {object} [params]
   * @param {{signal?: AbortSignal, progress?: OnProgress}} [options]
   * @returns {Promise<any>} rejects with a Failure; at once, of type "Cancelled", on abort
   */
  call(method, params = {}, { signal, progress = () => {} } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(cancelled());
      if (this.#lost) return reject(notBegun(this.#lost));
      const call = { method, params, signal, progress, resolve, reject };
      signal?.addEventListener("abort", () => this.#abort(call), { once: true });
      this.#waiting.push(call);
      this.#next();
      this.#watch();
    });
  }

  /** When the worker was lost; "" while it is not. @returns {"" | "at work" | "idle"} */
  get lost() {
    return this.#lost ? this.#then : "";
  }

  /** End the worker; calls under way fail. */
  close() {
    this.#lose(new Failure("WorkerError", "Offcut was stopped", "try again"), false);
  }

  #next() {
    if (!this.#up || this.#lost || this.#running) return;
    const call = this.#waiting.shift();
    if (!call) return;
    this.#running = call;
    this.#id += 1;
    this.worker.postMessage({ id: this.#id, method: call.method, params: call.params });
  }

  /** @param {any} data */
  #receive(data) {
    if (this.#lost) return;
    if (data.boot) {
      this.#up ||= data.boot.stage === "up";
      this.onBoot(data.boot);
    } else if (data.fatal) {
      this.#lose(Failure.from(data.fatal));
    } else if (data.id === this.#id && this.#running) {
      this.#answer(this.#running, data);
    }
    this.#next();
    this.#watch();
  }

  /** @param {Call} call @param {any} data */
  #answer(call, data) {
    if (data.progress) {
      if (!call.signal?.aborted) call.progress(data.progress);
      return;
    }
    this.#running = null;
    if (data.error) call.reject(Failure.from(data.error));
    else call.resolve(data.result);
  }

  /** @param {Call} call */
  #abort(call) {
    call.reject(cancelled());
    this.#waiting = this.#waiting.filter((other) => other !== call);
    if (this.#running !== call || this.#lost) return;
    this.worker.postMessage({ id: this.#id, cancel: true });
    setTimeout(() => {
      if (this.#running === call) this.#lose(cancelled());
    }, ACKNOWLEDGE);
  }

  /** Start the wait for the next sign of life, if one is due. */
  #watch() {
    clearTimeout(this.#watchdog);
    if (this.#lost || (this.#up && !this.#running && !this.#waiting.length)) return;
    this.#watchdog = setTimeout(() => {
      const text = `no sign of life for ${SILENCE / 1000} seconds`;
      this.#lose(new Failure("WorkerError", `Offcut stopped: ${text}`, "try again"));
    }, SILENCE);
  }

  /** @param {Failure} failure @param {boolean} [tell] */
  #lose(failure, tell = true) {
    if (this.#lost) return;
    this.#lost = failure;
    this.#then = this.#running ? "at work" : "idle";
    clearTimeout(this.#watchdog);
    this.worker.terminate();
    this.#running?.reject(failure);
    this.#running = null;
    for (const call of this.#waiting.splice(0)) {
      call.reject(notBegun(failure));
    }
    if (tell) this.onLost(failure);
  }
}

/** @param {Failure} failure @returns {Failure} the same, for a call that had not begun */
function notBegun(failure) {
  return Object.assign(Failure.from(failure.report()), { began: false });
}

function cancelled() {
  return new Failure("Cancelled", "cancelled");
}
