// Fetches the model while Python starts; offcut.web.model_file takes it.

/** @typedef {import("./boot.js").OnProgress} OnProgress */
/** @typedef {import("./boot.js").FetchFile} FetchFile */
/**
 * @typedef {{index: string, file: string, data: Uint8Array<ArrayBuffer> | null}} Fetched data: null
 * where the model is here already
 */

const FOLDER = "models/";

export class ModelFile {
  #done = 0;
  #total = 0;
  #waiting = false;
  /** null when it could not be fetched, or is taken. @type {Promise<Fetched | null>} */
  fetched;

  /**
   * @param {Promise<string>} name "" is the default @param {FetchFile} fetchFile
   * @param {OnProgress} progress
   * @param {Promise<string>} here the sha256 of the model that Python starts with, "" when none
   */
  constructor(name, fetchFile, progress, here) {
    this.progress = progress;
    this.fetched = this.#fetch(name, fetchFile, here);
  }

  /**
   * @param {Promise<string>} name @param {FetchFile} fetchFile @param {Promise<string>} here
   * @returns {Promise<Fetched | null>}
   */
  async #fetch(name, fetchFile, here) {
    try {
      const index = new TextDecoder().decode(await fetchFile(`${FOLDER}index.json`, () => {}));
      const all = JSON.parse(index);
      const wanted = (await name) || all.default;
      const { file, bytes, sha256 } = all.models[wanted];
      if (wanted === all.default && (await here) === sha256) return { index, file, data: null };
      this.#total = bytes;
      const data = await fetchFile(FOLDER + file, (more) => this.#count(more));
      return { index, file, data };
    } catch {
      return null; // Python asks part by part, keeps what arrives, and says what is wrong
    }
  }

  /** @param {number} more bytes */
  #count(more) {
    this.#done += more;
    if (!this.#waiting) return;
    this.progress({ stage: "model", done: this.#done, total: this.#total, unit: "bytes" });
  }

  /** Return the file, once: a second model is fetched by Python. @returns {Promise<Fetched | null>} */
  take() {
    this.#waiting = true;
    const fetched = this.fetched;
    this.fetched = Promise.resolve(null);
    return fetched;
  }
}
