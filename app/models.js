// Which model is used: one of the bundle's, or a file that the visitor brings (.onnx, .safetensors).

import { Failure } from "./failure.js";

/** @typedef {import("./boot.js").Progress} Progress */
/** @typedef {import("./engine.js").Engine} Engine */

/** @param {File} file */
export const isModel = (file) => /\.(onnx|safetensors)$/i.test(file.name);

export class Models {
  /** What is being opened, and how far. @type {{name: string, progress: Progress | null} | null} */
  work = null;

  /**
   * @param {Engine} engine
   * @param {() => void} onChange called after every change
   * @param {(failure: Failure) => void} onFailure the former model stays in use
   */
  constructor(engine, onChange, onFailure) {
    this.engine = engine;
    this.onChange = onChange;
    this.onFailure = onFailure;
  }

  /** Use the model in `files` for the photos that come after. @param {File[]} files */
  async use(files) {
    if (files.length > 1 || this.work) {
      const names = files.map(({ name }) => name).join(", ");
      const text = `one model at a time, not ${this.work ? "another while one is read" : names}`;
      return this.onFailure(new Failure("ModelFormatError", text, "choose one file"));
    }
    const [file] = files;
    await this.#open(file.name, (options) => this.engine.useModel(file, options));
  }

  /** Use one of the bundle's models for the photos that come after. @param {string} name */
  async choose(name) {
    if (!this.work) await this.#open(name, (options) => this.engine.useLevel(name, options));
  }

  /**
   * @param {string} name
   * @param {(options: {progress: (progress: Progress) => void}) => Promise<void>} opening
   */
  async #open(name, opening) {
    const work = { name, progress: /** @type {Progress | null} */ (null) };
    this.work = work;
    this.onChange();
    try {
      await opening({
        progress: (progress) => {
          work.progress = progress;
          this.onChange();
        },
      });
      this.work = null;
      this.onChange();
    } catch (error) {
      this.work = null;
      this.onFailure(Failure.of(error, name));
    }
  }
}
