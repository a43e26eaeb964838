// Registers the service worker, and tells the page what it may count on.
//
// On a host that sends no security headers the page is reloaded once, as soon as the service worker
// can send them, so that it is isolated and may use threads. A newer version is offered, and
// started only by the user.

import { reloadedFor, reloadOnce, unwanted } from "./recover.js";

const PATIENCE = 4_000; // milliseconds that a start may wait for the service worker

/** @typedef {"saved" | "unavailable"} Kept */

export class Offline {
  /** Settles when the page's own files are fetched and kept, or cannot be. @type {Promise<boolean>} */
  fetched;
  /** Lets the service worker be registered. @type {() => void} */
  #begin = () => {};
  /** @type {ServiceWorkerRegistration | null} */
  #registration = null;

  /** @param {() => void} onUpdate a newer version waits */
  constructor(onUpdate) {
    this.onUpdate = onUpdate;
    /** @type {Promise<void>} */
    const begun = new Promise((resolve) => (this.#begin = resolve));
    this.fetched = begun.then(() => this.#register());
  }

  /**
   * Keep the page's files from now on. It is done while Python starts on one processor: before, it
   * would be in the way of what Python needs.
   */
  keep() {
    this.#begin();
  }

  /**
   * Reload the page if that isolates it; wait for this until `hurry` settles.
   * @param {Promise<void>} hurry the user has begun to work
   * @returns {Promise<boolean>} it is being reloaded
   */
  async isolate(hurry) {
    if (crossOriginIsolated || reloadedFor() || navigator.serviceWorker?.controller) return false;
    this.keep();
    const active = this.fetched.then((fetched) => fetched && this.#activated());
    const usable = await Promise.race([active, hurry.then(() => false), later(PATIENCE)]);
    return usable === true && reloadOnce("isolate");
  }

  /**
   * Ask the service worker for the hashes of files, which it took when it got or gave them.
   * @param {string[]} urls @returns {Promise<[path: string, sha256: string][]>} those that are right
   */
  async hashes(urls) {
    const fetched = await this.fetched;
    const registration = this.#registration;
    const one = registration?.active ?? registration?.waiting ?? registration?.installing;
    if (!fetched || !one) return [];
    const { port1, port2 } = new MessageChannel();
    /** @type {Promise<[string, string][]>} */
    const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
    one.postMessage({ hash: urls }, [port2]);
    const rows = await Promise.race([answer, later(PATIENCE)]);
    return rows || [];
  }

  /** Start the version that waits, and reload the page with it. */
  update() {
    const next = this.#registration?.waiting;
    if (!next) return location.reload();
    next.addEventListener("statechange", () => {
      if (next.state === "activated") location.reload();
    });
    next.postMessage({ activate: true });
  }

  /** @returns {Promise<boolean>} */
  async #register() {
    if (unwanted || reloadedFor() === "broken" || !navigator.serviceWorker) return false;
    try {
      const script = new URL("sw.js", import.meta.url);
      const registration = await navigator.serviceWorker.register(script, { updateViaCache: "none" });
      this.#registration = registration;
      this.#watch(registration);
      if (registration.active) return true;
      const first = registration.installing ?? registration.waiting;
      return Boolean(first) && (await reached(/** @type {ServiceWorker} */ (first), "installed"));
    } catch {
      return false; // a private window, or a server that lacks the file
    }
  }

  /** @returns {Promise<boolean>} */
  async #activated() {
    const registration = this.#registration;
    const first = registration?.active ?? registration?.waiting ?? registration?.installing;
    return Boolean(first) && reached(/** @type {ServiceWorker} */ (first), "activated");
  }

  /** @param {ServiceWorkerRegistration} registration */
  #watch(registration) {
    const offer = () => {
      if (registration.waiting && registration.active) this.onUpdate();
    };
    offer();
    registration.addEventListener("updatefound", () => {
      const fresh = registration.installing;
      fresh?.addEventListener("statechange", () => {
        if (fresh.state === "installed") offer();
      });
    });
  }
}

const STATES = ["parsed", "installing", "installed", "activating", "activated"];

/**
 * @param {ServiceWorker} worker @param {"installed" | "activated"} wanted
 * @returns {Promise<boolean>} false when it fails
 */
function reached(worker, wanted) {
  return new Promise((resolve) => {
    const look = () => {
      if (worker.state === "redundant") resolve(false);
      if (STATES.indexOf(worker.state) >= STATES.indexOf(wanted)) resolve(true);
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

/** @param {number} milliseconds @returns {Promise<false>} */
const later = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds, false));
