// The photos of this visit, worked on one after another; no DOM here.

import { Failure } from "./failure.js";

/** @typedef {import("./boot.js").Progress} Progress */
/** @typedef {import("./engine.js").Cutout} Cutout */
/** @typedef {"queued" | "working" | "done" | "error"} PhotoState */
/**
 * @typedef {object} Photo
 * @property {File} file
 * @property {PhotoState} state
 * @property {string} before object URL of the photo: as it was given, or as it was decoded
 * @property {string} after object URL of the cutout to show, "" until done
 * @property {string} download object URL of the PNG, "" until done
 * @property {Progress | null} progress
 * @property {Cutout | null} cutout
 * @property {Failure | null} failure
 */
/** @typedef {import("./engine.js").Engine} Engine */

const REDRAW = 200; // milliseconds between drawings of progress, which take time from the photo
const AT_ONCE = 150; // milliseconds that hardly seem a wait; a photo may be done by then

export class Photos {
  /** @type {Photo[]} */
  list = [];
  /** The photo on the stage. @type {Photo | null} */
  selected = null;
  /** @type {{photo: Photo, controller: AbortController} | null} */
  #job = null;
  /** A drawing that is due; 0: none is. */
  #due = 0;
  /** One that is not drawn yet: until AT_ONCE its cutout has the processors. @type {Photo | null} */
  fresh = null;

  /** @param {Engine} engine @param {() => void} onChange called after every change */
  constructor(engine, onChange) {
    this.engine = engine;
    this.onChange = onChange;
  }

  /** Queue files, show the first of them; photos that failed make room. @param {File[]} files */
  add(files) {
    if (!files.length) return;
    for (const photo of this.list.filter((old) => old.state === "error")) this.#drop(photo);
    const fresh = files.map(newPhoto);
    this.list.push(...fresh);
    this.selected = fresh[0];
    this.#work();
  }

  /** @param {Photo} photo */
  select(photo) {
    this.fresh = null;
    this.selected = photo;
    this.onChange();
  }

  /** Give up the photo on the stage, at work or waiting. */
  cancel() {
    const photo = this.selected;
    if (!photo) return;
    this.#drop(photo);
    if (!this.list.length) this.engine.forget();
    this.onChange();
  }

  /** Try a photo that failed once more. @param {Photo} photo */
  retry(photo) {
    photo.state = "queued";
    photo.failure = null;
    this.#work();
  }

  /** Forget everything. */
  clear() {
    for (const photo of [...this.list]) this.#drop(photo);
    this.engine.forget();
    this.onChange();
  }

  /** @param {Photo} photo */
  #drop(photo) {
    const at = this.list.indexOf(photo);
    this.list.splice(at, 1);
    if (this.#job?.photo === photo) this.#job.controller.abort();
    for (const url of [photo.before, photo.after, photo.download]) URL.revokeObjectURL(url);
    if (this.fresh === photo) this.fresh = null;
    if (this.selected === photo) this.selected = this.list[at] ?? this.list[at - 1] ?? null;
  }

  async #work() {
    if (this.#job || !this.#next()) return this.onChange();
    for (let photo = this.#next(); photo; photo = this.#next()) await this.#cut(photo);
  }

  #next() {
    return this.list.find((photo) => photo.state === "queued");
  }

  #changeSoon() {
    this.#due ||= setTimeout(() => {
      this.#due = 0;
      this.onChange();
    }, REDRAW);
  }

  /** @param {Photo} photo */
  async #cut(photo) {
    const controller = new AbortController();
    this.#job = { photo, controller };
    photo.state = "working";
    const answer = this.engine.remove(photo.file, {
      signal: controller.signal,
      progress: (progress) => {
        photo.progress = progress;
        this.#changeSoon();
      },
    });
    if (photo === this.selected && this.engine.ready) this.fresh = photo;
    setTimeout(() => this.#draw(photo), AT_ONCE);
    this.onChange(); // while the worker has begun
    try {
      const cutout = await answer;
      if (!controller.signal.aborted) finish(photo, cutout);
    } catch (error) {
      photo.state = "error";
      photo.failure = Failure.of(error, photo.file.name);
    } finally {
      this.#job = null;
    }
    if (this.fresh === photo) this.fresh = null;
    this.onChange();
  }

  /** @param {Photo} photo that is not fresh any more */
  #draw(photo) {
    if (this.fresh !== photo) return;
    this.fresh = null;
    this.onChange();
  }
}

/** @param {File} file @returns {Photo} */
function newPhoto(file) {
  return {
    file,
    state: "queued",
    before: URL.createObjectURL(file),
    after: "",
    download: "",
    progress: null,
    cutout: null,
    failure: null,
  };
}

/** @param {Photo} photo @param {Cutout} cutout */
function finish(photo, cutout) {
  photo.state = "done";
  photo.cutout = cutout;
  photo.download = URL.createObjectURL(cutout.png);
  if (cutout.photo) {
    URL.revokeObjectURL(photo.before);
    photo.before = URL.createObjectURL(cutout.photo);
  }
  photo.after = cutout.preview ? URL.createObjectURL(cutout.preview) : photo.download;
}
