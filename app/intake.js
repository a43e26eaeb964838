// How photos come in: dropped anywhere, pasted, picked, or one of the samples.

import { Failure } from "./failure.js";

/** @typedef {(files: File[]) => void} OnFiles */

/**
 * @param {OnFiles} onFiles @param {(failure: Failure) => void} onFailure
 */
export function watchIntake(onFiles, onFailure) {
  watchDrop(onFiles, onFailure);
  namePasteKey();
  const pick = /** @type {HTMLInputElement} */ (document.querySelector(".pick"));
  pick.addEventListener("change", () => {
    const files = [...(pick.files ?? [])];
    pick.value = ""; // so that the same file can be picked again
    onFiles(files);
  });
  document.querySelector(".more")?.addEventListener("click", () => pick.click());
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    onFiles(files);
  });
  for (const button of document.querySelectorAll(".sample")) {
    const path = /** @type {HTMLElement} */ (button).dataset.sample ?? "";
    button.addEventListener("click", () => {
      fetchSample(path).then((file) => onFiles([file]), onFailure);
    });
  }
}

/** @param {OnFiles} onFiles @param {(failure: Failure) => void} onFailure */
function watchDrop(onFiles, onFailure) {
  const root = document.documentElement;
  let depth = 0; // dragenter and dragleave come for every element on the way
  const show = () => root.classList.toggle("dragging", depth > 0);
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    show();
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    show();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    show();
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) return onFiles(files);
    const remedy = "save the picture first, then drop the file";
    onFailure(new Failure("ImageError", "what you dropped is not a file", remedy));
  });
}

/** Apple's keyboards paste with another key. */
function namePasteKey() {
  const key = document.querySelector("kbd");
  if (key && /Mac|iPhone|iPad/.test(navigator.platform)) key.textContent = "⌘";
}

/** @param {string} path @returns {Promise<File>} */
async function fetchSample(path) {
  try {
    const response = await fetch(path, { cache: "force-cache" });
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    const blob = await response.blob();
    return new File([blob], path.split("/").pop() ?? path, { type: blob.type });
  } catch (error) {
    const text = `${path} could not be fetched: ${error instanceof Error ? error.message : error}`;
    throw new Failure("DownloadError", text, "check the connection, or choose a photo of your own");
  }
}
