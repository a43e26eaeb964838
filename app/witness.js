// What the worker can testify to: its requests, the files it verified, the files it kept.
//
// The page shows it; see proof.js. Messages to the page:
//
//   {witness: {requests: string[]}}      addresses that the worker asked for
//   {witness: {file: string, sha256: string}}
//                                        a file of the manifest, hashed before use
//   {witness: {kept: string}}            all files are kept, or why some are not

import { keep } from "./store.js";

/** @typedef {import("./store.js").Row} Row */
/**
 * @typedef {{requests: string[]} | {file: string, sha256: string} | {kept: string}} Testimony
 */

/** @param {Testimony} testimony */
const tell = (testimony) => self.postMessage({ witness: testimony });

export class Witness {
  /** What is to be kept once there is time. @type {(() => Promise<string>)[]} */
  #later = [];
  #idle = false;
  #refusal = "";

  /** @param {URL} root the bundle's address */
  constructor(root) {
    this.root = root;
    new PerformanceObserver((list) => {
      const names = list.getEntries().map(({ name }) => name);
      const requests = names.filter((name) => !name.startsWith("blob:"));
      if (requests.length) tell({ requests });
    }).observe({ type: "resource", buffered: true });
  }

  /** @param {string} path @param {Row} row its bytes have this sha256 */
  verified(path, row) {
    tell({ file: path, sha256: row.sha256 });
  }

  /**
   * Keep a verified file for the next visit, after the start.
   * @param {Row} row @param {Uint8Array<ArrayBuffer>} data @param {string} type
   */
  keep(row, data, type) {
    this.#later.push(() => keep(this.root, row, data, type));
    if (this.#idle) this.flush();
  }

  /** The start is over: keep what there is. */
  async flush() {
    this.#idle = true;
    for (const begin of this.#later.splice(0)) {
      const refusal = await begin(); // one after another, since a photo may come between
      this.#refusal ||= refusal;
    }
    tell({ kept: this.#refusal });
  }
}
