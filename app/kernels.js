// The SIMD kernels for offcut.backends.simd: compiled from verified bytes, with threads if possible.

import { startConfined } from "./confined_worker.js";

/**
 * @typedef {object} Kernels What library_js.configure takes.
 * @property {WebAssembly.Module} single
 * @property {WebAssembly.Module | null} threads
 * @property {() => Worker} startThread
 */

const SINGLE = "kernels/kernels.wasm";
const THREADS = "kernels/kernels-threads.wasm";

/**
 * @param {import("./boot.js").FetchFile} fetchFile
 * @returns {Promise<Kernels | null>} null where there is no SIMD
 */
export async function compileKernels(fetchFile) {
  const paths = self.crossOriginIsolated ? [SINGLE, THREADS] : [SINGLE];
  const [single, threads] = await Promise.all(paths.map(async (path) => compile(await fetchFile(path))));
  const startThread = () => startConfined("kernel_thread.js", "kernel");
  return single && { single, threads: threads ?? null, startThread };
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
