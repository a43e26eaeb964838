// What each stage of the work is called, and how far along the whole it stands.

/** @typedef {import("./boot.js").Progress} Progress */
/** @typedef {{text: string, from: number, to: number}} Row */

/** Stages of loading, from the worker and from `open_model`. @type {Record<string, Row>} */
const BOOT = {
  files: { text: "Loading Offcut", from: 0, to: 0.75 },
  python: { text: "Starting Python", from: 0.75, to: 0.85 },
  offcut: { text: "Starting Offcut", from: 0.85, to: 0.9 },
  up: { text: "Starting Offcut", from: 0.9, to: 0.9 },
  model: { text: "Loading the model", from: 0.9, to: 0.97 },
  compile: { text: "Preparing the model", from: 0.97, to: 1 },
};

/** Stages of another model, from `use_model` and `open_model`. @type {Record<string, Row>} */
const MODEL = {
  model: { text: "Loading", from: 0, to: 0.6 },
  convert: { text: "Reading", from: 0, to: 0.6 },
  compile: { text: "Preparing", from: 0.6, to: 1 },
};

/** Stages of a photo, from `remove`. @type {Record<string, Row>} */
const PHOTO = {
  decode: { text: "Reading the photo", from: 0, to: 0.04 },
  preprocess: { text: "Finding the subject", from: 0.04, to: 0.06 },
  inference: { text: "Finding the subject", from: 0.06, to: 0.84 },
  refine: { text: "Refining the edges", from: 0.84, to: 0.9 },
  compose: { text: "Cutting out", from: 0.9, to: 0.94 },
  encode: { text: "Writing the PNG", from: 0.94, to: 1 },
};

/** @param {Progress} progress */
export const describeBoot = (progress) => describe(BOOT, progress);

/** @param {{name: string, progress: Progress | null}} work */
export function describeModel({ name, progress }) {
  const { text, fraction } = progress ? describe(MODEL, progress) : { text: "Reading", fraction: 0 };
  return { text: `${text} ${name}`, fraction };
}

/** @param {Progress} progress */
export const describePhoto = (progress) => describe(PHOTO, progress);

/**
 * @param {Record<string, Row>} rows @param {Progress} progress
 * @returns {{text: string, fraction: number}}
 */
function describe(rows, { stage, done, total, unit }) {
  const row = rows[stage] ?? { text: stage, from: 0, to: 1 };
  const part = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const amount = unit === "bytes" && total > 0 ? `: ${megabytes(done)} of ${megabytes(total)} MB` : "";
  return { text: row.text + amount, fraction: row.from + (row.to - row.from) * part };
}

/** @param {number} bytes */
function megabytes(bytes) {
  return (Math.max(0, bytes) / 1e6).toFixed(1);
}
