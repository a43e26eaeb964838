// Draws the state of the page; every text from outside goes in as textContent.

import { watchComparison } from "./compare.js";
import { Failure } from "./failure.js";
import { describeBoot, describePhoto } from "./stages.js";

/** @typedef {import("./boot.js").Progress} Progress */
/** @typedef {import("./engine.js").Cutout} Cutout */
/** @typedef {import("./engine.js").Info} Info */
/** @typedef {import("./photos.js").Photo} Photo */

const root = document.documentElement;

/** @template {HTMLElement} [T=HTMLElement] @param {string} selector @returns {T} */
const one = (selector) => {
  const found = document.querySelector(selector);
  if (!found) throw new Error(`index.html has no ${selector}`);
  return /** @type {T} */ (found);
};

const TITLES = /** @type {Record<string, string>} */ ({
  BackendError: "The chosen backend cannot be used here",
  DownloadError: "The download failed",
  ImageError: "This photo cannot be used",
  InsecureAddressError: "This address is not secure",
  IntegrityError: "A file of this page is damaged",
  MemoryError: "There is not enough memory",
  ModelFormatError: "This model cannot be used",
  UnconfinedError: "This page is not protected",
  UnknownModelError: "There is no such model",
  UpdateError: "There is a newer version",
  UnsupportedOperatorError: "This model needs what Offcut cannot compute",
  WorkerError: "Offcut stopped",
});

/** @param {Progress} progress */
export function showBoot(progress) {
  const { text, fraction } = describeBoot(progress);
  one(".boot-text").textContent = `${text}. You can already choose a photo.`;
  one("progress.boot-bar").setAttribute("value", String(fraction));
}

/** @param {Info} info @param {Cutout | null} last the last photo's */
export function showStatus(info, last) {
  root.dataset.backend = info.backend;
  root.dataset.threads = String(info.threads);
  root.dataset.model = info.model;
  const threads = info.threads === 1 ? "1 thread" : `${info.threads} threads`;
  const parts = [info.model, info.backend, threads];
  if (last) {
    const { milliseconds } = last;
    const total = Object.values(milliseconds).reduce((sum, value) => sum + value, 0);
    root.dataset.milliseconds = String(Math.round(total));
    const stages = Object.entries(milliseconds).map(([name, ms]) => `${name} ${Math.round(ms)}`);
    parts.push(`${(total / 1000).toFixed(1)} s (ms: ${stages.join(", ")})`);
  }
  const status = one(".status");
  status.hidden = false;
  status.textContent = parts.join(" · ");
  const notes = Object.entries(info.notes).map(([what, why]) => `${what}: ${why}`);
  one(".notes").textContent = notes.join("; ");
  one(".boot-text").textContent = "Ready. Photos stay on this device.";
}

/**
 * The visitor's model is on its way in; null: none is.
 * @param {{text: string, fraction: number} | null} work
 */
export function showModel(work) {
  root.toggleAttribute("data-importing", Boolean(work));
  if (!work) return;
  one(".boot-text").textContent = work.text;
  one("progress.boot-bar").setAttribute("value", String(work.fraction));
  one(".status").hidden = false;
  one(".status").textContent = `${work.text} (${Math.round(100 * work.fraction)} %)`;
}

/** @param {Failure | null} failure @param {{retry: boolean, automatic: boolean}} offer */
export function showFailure(failure, offer) {
  one(".failure").hidden = !failure;
  if (!failure) return;
  one(".failure-title").textContent = TITLES[failure.type] ?? "Something went wrong";
  one(".failure-message").textContent = sentence(failure.message);
  one(".failure-remedy").textContent = sentence(failure.remedy);
  one(".retry").hidden = !offer.retry;
  one(".automatic").hidden = !offer.automatic;
}

/** @param {string} text */
function sentence(text) {
  return text && !/[.!?…]$/.test(text) ? `${text}.` : text;
}

/** @param {string} text for screen readers, once */
export function announce(text) {
  const place = one(".announcer");
  if (place.textContent !== text) place.textContent = text;
}

/** Where the focus goes when the element that had it disappears. @param {Element | null} focused */
export function keepFocus(focused) {
  const visible = (/** @type {Element} */ element) => element.getClientRects().length > 0;
  if (!focused || focused === document.body || visible(focused)) return;
  [".download", ".cancel", ".pick"].map((name) => one(name)).find(visible)?.focus();
}

const frame = one(".frame");
const comparison = watchComparison(frame);
const pictures = { before: one("img.before"), after: one("img.after") };
pictures.before.addEventListener("load", () => {
  const { naturalWidth, naturalHeight } = /** @type {HTMLImageElement} */ (pictures.before);
  frame.style.setProperty("--ratio", String(naturalWidth / Math.max(1, naturalHeight)));
});
pictures.before.addEventListener("error", () => {
  pictures.before.hidden = true; // the worker will say what is wrong with it
});

/** Put a photo on the stage. @param {Photo} photo @param {string} waiting why it waits */
export function showPhoto(photo, waiting) {
  const arrived = photo.state === "done" && root.dataset.photo !== "done";
  const swapped = [picture("before", photo.before), picture("after", photo.after)].includes(true);
  root.dataset.photo = photo.state;
  if (arrived || swapped) comparison.reset(photo.state === "done");
  const { text, fraction } = photo.progress ? describePhoto(photo.progress) : { text: "", fraction: 0 };
  one(".busy-text").textContent = photo.progress ? text : waiting;
  one("progress.busy-bar").setAttribute("value", String(fraction));
  one(".caption-name").textContent = photo.cutout?.name ?? photo.file.name;
  one(".caption-size").textContent = photo.cutout
    ? [
        `${photo.cutout.width} × ${photo.cutout.height}`,
        kilobytes(photo.cutout.png.size),
        ...photo.cutout.notes,
      ].join(" · ")
    : kilobytes(photo.file.size);
  const link = /** @type {HTMLAnchorElement} */ (one(".download"));
  link.hidden = photo.state !== "done";
  link.href = photo.download || "#";
  link.download = photo.cutout?.name ?? "";
}

/** Lay the stage out before there is a photo: the first time takes longest. Nothing is painted. */
export function rehearse() {
  const bench = one(".bench");
  if (!bench.hidden) return;
  bench.hidden = false;
  for (const state of ["working", "done"]) {
    root.dataset.photo = state;
    bench.getBoundingClientRect();
  }
  delete root.dataset.photo;
  bench.hidden = true;
}

/** Leave nothing of the last photo in the page. */
export function forgetPhoto() {
  picture("before", "");
  picture("after", "");
  for (const name of [".caption-name", ".caption-size", ".busy-text"]) one(name).textContent = "";
  const link = /** @type {HTMLAnchorElement} */ (one(".download"));
  link.href = "#";
  link.download = "";
}

/** @param {"before" | "after"} which @param {string} url @returns {boolean} it is a new picture */
function picture(which, url) {
  const image = /** @type {HTMLImageElement} */ (pictures[which]);
  if ((image.getAttribute("src") ?? "") === url) return false;
  image.hidden = !url;
  if (url) image.src = url;
  else image.removeAttribute("src");
  return true;
}

/** @param {number} bytes */
function kilobytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
