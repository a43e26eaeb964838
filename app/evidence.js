// What this page can show of itself: its requests, the hashes of its files, what is kept; no DOM.

import { digest } from "./store.js";

/** @typedef {import("./witness.js").Testimony} Testimony */
/** @typedef {{sha256: string, right: boolean}} Checked a file's hash; it is the manifest's */

export class Evidence {
  /** Addresses asked for by the page and its worker, in order. @type {string[]} */
  requests = [];
  /** How many of them came before Offcut was ready; null until it is. @type {number | null} */
  before = null;
  #readyAt = Infinity; // on the clock of performance.now()
  /** @type {Map<string, Checked>} */
  files = new Map();
  /** Why files are not kept for the next visit, "" when all are; null while unknown. */
  kept = /** @type {string | null} */ (null);

  /** @param {URL} root the bundle's address @param {() => void} onChange */
  constructor(root, onChange) {
    this.root = root;
    this.onChange = onChange;
    this.requests.push(location.href.split("#")[0]);
    new PerformanceObserver((list) => {
      const entries = list.getEntries();
      const early = entries.filter(({ startTime }) => startTime < this.#readyAt);
      this.#asked(early.map(({ name }) => name), true); // a request is known when it has ended
      this.#asked(entries.filter((entry) => !early.includes(entry)).map(({ name }) => name));
    }).observe({ type: "resource", buffered: true });
  }

  /** Listen to what a worker testifies. @param {Worker} worker */
  follow(worker) {
    worker.addEventListener("message", ({ data }) => {
      /** @type {any} */
      const said = data.witness;
      if (!said) return;
      if (said.requests) this.#asked(said.requests);
      if (said.file) this.files.set(said.file, { sha256: said.sha256, right: true });
      if (said.kept !== undefined) this.kept = said.kept;
      this.onChange();
    });
  }

  /** From now on no request is expected. */
  ready() {
    if (this.before === null) this.#readyAt = performance.now();
    this.before ??= this.requests.length;
    this.onChange();
  }

  /** Requests that came after Offcut was ready. @returns {string[]} */
  get since() {
    return this.before === null ? [] : this.requests.slice(this.before);
  }

  /** Addresses outside the page's own site. @returns {string[]} */
  get elsewhere() {
    return this.requests.filter((url) => new URL(url).origin !== location.origin);
  }

  /**
   * Learn the hashes of the page's own files, scripts and pictures included: from the service worker,
   * or else by reading them as the browser has them.
   * @param {(urls: string[]) => Promise<[string, string][]>} ask the service worker
   * @returns {Promise<void>} without a failure: what cannot be read is not listed
   */
  async hashPage(ask) {
    try {
      const own = [...new Set(this.requests)].filter((url) => url.startsWith(this.root.href));
      const told = await ask(own);
      for (const [path, sha256] of told) this.files.set(path, { sha256, right: true });
      const left = own.filter((url) => !this.files.has(this.#path(url)));
      if (left.length) await this.#read(left);
    } catch {
      // Without a list there is nothing to compare with; the worker says so.
    }
    this.onChange();
  }

  /** @param {string[]} urls */
  async #read(urls) {
    const answer = await fetch(new URL("manifest.json", this.root), { cache: "force-cache" });
    const { files } = await answer.json();
    await Promise.all(urls.map((url) => this.#hash(url, files)));
  }

  /** @param {string} url @returns {string} in the manifest */
  #path(url) {
    return decodeURIComponent(new URL(url).pathname.slice(this.root.pathname.length)) || "index.html";
  }

  /** @param {string} url @param {Record<string, {sha256: string}>} rows */
  async #hash(url, rows) {
    const path = this.#path(url);
    if (!rows[path]) return;
    const answer = await fetch(url, { cache: "force-cache" });
    if (!answer.ok) return;
    const sha256 = await digest(new Uint8Array(await answer.arrayBuffer()));
    this.files.set(path, { sha256, right: sha256 === rows[path].sha256 });
  }

  /** @param {string[]} urls @param {boolean} early whether they were asked for before ready */
  #asked(urls, early = false) {
    const own = urls.filter((url) => !url.startsWith("blob:"));
    const at = early ? (this.before ?? this.requests.length) : this.requests.length;
    this.requests.splice(at, 0, ...own);
    if (early && this.before !== null) this.before += own.length;
    if (own.length) this.onChange();
  }
}
