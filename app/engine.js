// One engine: a worker with Python and an open model, started anew when it is lost.

import { Bridge } from "./bridge.js";
import { Failure } from "./failure.js";
import { takeWorker } from "./first_worker.js";

/** @typedef {import("./boot.js").Progress} Progress */
/** @typedef {{model: string, backend: string, threads: string}} Choice "" leaves it to Offcut */
/**
 * @typedef {object} Info What `open_model` answers.
 * @property {string} model
 * @property {string} title
 * @property {string} backend
 * @property {number} threads
 * @property {Record<string, string>} notes why better backends or more threads are not used
 * @property {Level[]} levels the models that can be chosen
 */
/**
 * @typedef {object} Level
 * @property {string} name
 * @property {number} bytes
 * @property {string} card the model card's address, "" when there is none
 * @property {{mae: number, iou: number, worst_iou: number, photos: number} | null} quality
 */
/**
 * @typedef {object} Cutout What `remove` answers.
 * @property {Blob} png the result at full resolution
 * @property {Blob | null} preview a smaller one to show, null when `png` is small enough
 * @property {Blob | null} photo what to compare with where the file as given will not do
 * @property {string[]} notes what of the file is not in the cutout
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number} threads that worked on it
 * @property {Record<string, number>} milliseconds
 */
/**
 * @typedef {object} Listeners
 * @property {(progress: Progress) => void} onBoot
 * @property {(info: Info) => void} onReady
 * @property {(failure: Failure) => void} onFailure it did not start; `start` tries again
 * @property {(worker: Worker) => void} onWorker a worker is being started
 */

const givenOutBy = () => navigator.serviceWorker?.controller ?? null;
/** The service worker that this page's scripts came from: another one has another version's. */
const GIVEN_OUT_BY = givenOutBy();

const updatedElsewhere = () =>
  new Failure("UpdateError", "Offcut was updated in another tab", "reload the page");

export class Engine {
  /** @type {Bridge | null} */
  #bridge = null;
  /** @type {((bridge: Bridge) => void)[]} */
  #expecting = [];
  #ready = false;
  /** The start that goes on is a second one, after a first without a named cause. */
  #again = false;
  /** The visitor's own model, which a new worker gets again. @type {File | null} */
  #brought = null;
  /** What replaces the choice after a worker was lost at work. */
  #plainer = { choice: /** @type {Partial<Choice>} */ ({}), why: "" };

  /** @param {Choice} choice @param {Listeners} listeners */
  constructor(choice, listeners) {
    this.choice = choice;
    this.listeners = listeners;
  }

  /** Start, or start again. */
  start() {
    this.#bridge?.close();
    this.#ready = false;
    const { onBoot, onReady, onFailure, onWorker } = this.listeners;
    if (givenOutBy() !== GIVEN_OUT_BY) return onFailure(updatedElsewhere());
    const { worker, replay } = takeWorker();
    onWorker(worker);
    const bridge = new Bridge(worker, this.choice.model, onBoot, (failure) => {
      this.#lost(bridge, failure);
    });
    this.#bridge = bridge;
    replay();
    const wanted = { ...this.choice, ...this.#plainer.choice };
    const opened = bridge.call("open_model", wanted, { progress: onBoot });
    opened.then((info) => this.#bringAgain(bridge, info)).then(
      (info) => {
        if (this.#plainer.why) info.notes.recovery = this.#plainer.why;
        this.#ready = true;
        this.#again = false;
        onReady(info);
        for (const give of this.#expecting.splice(0)) give(bridge);
      },
      (failure) => {
        if (bridge !== this.#bridge) return;
        const again = failure.type === "UnexpectedError" && !this.#again; // an engine's own fault
        this.#again = again;
        if (again) this.start();
        else onFailure(failure);
      },
    );
  }

  /** End the worker and give back its memory. */
  stop() {
    this.#bridge?.close();
  }

  /**
   * Use a model file of the visitor's for the photos after this; on failure the former one stays.
   * @param {File} file
   * @param {{progress: (progress: Progress) => void}} options
   * @returns {Promise<void>} rejects with a Failure
   */
  async useModel(file, options) {
    const bridge = this.#now ?? (await this.#whenReady(new AbortController().signal));
    const info = await bridge.call("use_model", { file, name: file.name }, options);
    this.#brought = file;
    this.listeners.onReady(info);
  }

  /**
   * Use another of the bundle's models for the photos after this; on failure the former one stays.
   * @param {string} name
   * @param {{progress: (progress: Progress) => void}} options
   * @returns {Promise<void>} rejects with a Failure
   */
  async useLevel(name, options) {
    const bridge = this.#now ?? (await this.#whenReady(new AbortController().signal));
    const choice = { ...this.choice, model: name };
    const info = await bridge.call("open_model", choice, options);
    this.choice = choice; // a new worker opens it too
    this.#brought = null;
    this.listeners.onReady(info);
  }

  /**
   * A new worker knows nothing of a model that the visitor brought. One that fails is not tried
   * again: it may be what the worker was lost by.
   * @param {Bridge} bridge @param {Info} info @returns {Promise<Info>}
   */
  async #bringAgain(bridge, info) {
    const file = this.#brought;
    if (!file) return info;
    this.#brought = null;
    const options = { progress: this.listeners.onBoot };
    const again = await bridge.call("use_model", { file, name: file.name }, options);
    this.#brought = file;
    return again;
  }

  /**
   * Cut the subject out of a photo; waits until the engine is ready, and for another worker when
   * this one is lost before it is the photo's turn. A worker lost over the photo is replaced by one
   * that does less at a time, and the photo gets one more try.
   * @param {File} file
   * @param {{signal: AbortSignal, progress: (progress: Progress) => void}} options
   * @returns {Promise<Cutout>} rejects with a Failure
   */
  async remove(file, options) {
    for (let lost = 0; ; ) {
      const bridge = this.#now ?? (await this.#whenReady(options.signal));
      try {
        return await bridge.call("remove", { file, name: file.name }, options);
      } catch (error) {
        if (!(error instanceof Failure) || options.signal.aborted) throw error;
        if (error.began && (!bridge.lost || ++lost > 1)) throw error;
      }
    }
  }

  /** Overwrite what photos have left in the worker's memory; a worker that is lost has none left. */
  forget() {
    this.#bridge?.call("forget").catch(() => {});
  }

  /** Whether a photo is worked on at once. */
  get ready() {
    return this.#ready;
  }

  /** The bridge, once it is ready: what is asked at once is asked in order. */
  get #now() {
    return this.#ready ? this.#bridge : null;
  }

  /** @param {AbortSignal} signal @returns {Promise<Bridge>} */
  #whenReady(signal) {
    return new Promise((resolve, reject) => {
      if (this.#now) return resolve(this.#now);
      this.#expecting.push(resolve);
      const stop = () => reject(new Failure("Cancelled", "cancelled"));
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  /**
   * A worker that had been ready is replaced at once; by a plainer one if it was at work.
   * @param {Bridge} bridge @param {Failure} failure
   */
  #lost(bridge, failure) {
    if (bridge !== this.#bridge || !this.#ready) return;
    if (bridge.lost === "at work" && failure.type !== "Cancelled") this.#lower();
    this.start();
  }

  /** Choose the next plainer way to run, unless the user has chosen. */
  #lower() {
    const { backend, threads } = this.choice;
    if (!threads && !this.#plainer.why) {
      this.#plainer = { choice: { threads: "1" }, why: "after a failure, on one thread" };
    } else if (!backend && (!threads || threads === "1")) {
      this.#plainer = { choice: { backend: "reference" }, why: "after failures, in plain numpy" };
    }
  }
}
