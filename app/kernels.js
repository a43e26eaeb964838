// The SIMD kernels for offcut.backends.simd: compiled from verified bytes, with threads if possible.

import { startConfined } from "./confined_worker.js";

/** @typedef {import("./core_files.js").Manifest} Manifest */
/**
 * @typedef {object} Kernels What library_js.configure takes.
 * @property {WebAssembly.Module} single
 * @property {WebAssembly.Module | null} threads
 * @property {() => Worker} startThread
 */

const SINGLE = "kernels/kernels.wasm";
const THREADS = "kernels/kernels-threads.wasm";

/** Return the kernel files that are of use here. @param {Manifest} manifest @returns {string[]} */
export function kernelPaths(manifest) {
  const wanted = self.crossOriginIsolated ? [SINGLE, THREADS] : [SINGLE];
  return wanted.filter((path) => path in manifest.files);
}

/**
 * @param {(path: string) => Uint8Array<ArrayBuffer> | undefined} take gives a file's bytes
 * @returns {Promise<Kernels | null>} null where there are none, or no SIMD
 */
export async function compileKernels(take) {
  const [single, threads] = await Promise.all([SINGLE, THREADS].map((path) => compile(take(path))));
  return single && { single, threads, startThread: () => startConfined("kernel_thread.js", "kernel") };
}

/** @param {Uint8Array<ArrayBuffer> | undefined} bytes */
async function compile(bytes) {
  try {
    return bytes ? await WebAssembly.compile(bytes) : null;
  } catch (error) {
    console.warn("this browser cannot compile the kernels", error);
    return null;
  }
}
