// The SIMD kernels for offcut.backends.simd: compiled from verified bytes, with threads if possible.

import { startConfined } from "./confined_worker.js";

/**
 * @typedef {object} Kernels What library_js.configure takes.
 * @property {WebAssembly.Module} single
 * @property {WebAssembly.Module | null} threads
 * @property {WebAssembly.Module} pictures
 * @property {() => Worker} startThread
 */

const SINGLE = "kernels/kernels.wasm";
const THREADS = "kernels/kernels-threads.wasm";
const PICTURES = "kernels/pictures.wasm";

/**
 * @param {import("./boot.js").FetchFile} fetchFile
 * @returns {Promise<Kernels | null>} null where there is no SIMD
 */
export async function compileKernels(fetchFile) {
  const paths = [SINGLE, PICTURES, ...(self.crossOriginIsolated ? [THREADS] : [])];
  const compiled = await Promise.all(paths.map(async (path) => compile(await fetchFile(path))));
  const [single, pictures, threads] = compiled;
  const startThread = () => startConfined("kernel_thread.js", "kernel");
  return single && pictures && { single, threads: threads ?? null, pictures, startThread };
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function compile(bytes) {
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    console.warn("this browser cannot compile the kernels", error);
    return null;
  }
}
