// Models that the visitor brings: .onnx and .safetensors files, dropped or picked like photos.

import { Failure } from "./failure.js";

/** @typedef {import("./boot.js").Progress} Progress */
/** @typedef {import("./engine.js").Engine} Engine */

/** @param {File} file */
export const isModel = (file) => /\.(onnx|safetensors)$/i.test(file.name);

export class Models {
  /** The file that is being read, and how far. @type {{file: File, progress: Progress | null} | null} */
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
    const work = { file, progress: /** @type {Progress | null} */ (null) };
    this.work = work;
    this.onChange();
    try {
      await this.engine.useModel(file, {
        progress: (progress) => {
          work.progress = progress;
          this.onChange();
        },
      });
      this.work = null;
      this.onChange();
    } catch (error) {
      this.work = null;
      this.onFailure(Failure.of(error, file.name));
    }
  }
}
