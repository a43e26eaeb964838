// Boots Pyodide in the worker, in named steps, from verified bytes only.
//
//   files      manifest.json, the lock file, Pyodide's core, wheels, kernels: fetched and hashed
//   python     the WebAssembly is compiled, Python starts, the wheels are unpacked
//   offcut     Offcut and numpy are imported
//
// Each step is reported before it begins; a failure names the step or the file.

import { fetchManifest, fetchVerified } from "./core_files.js";
import { Failure } from "./failure.js";
import { compileKernels, kernelPaths } from "./kernels.js";

/** @typedef {{stage: string, done: number, total: number, unit: string}} Progress */
/** @typedef {(progress: Progress) => void} OnProgress */
/** @typedef {import("./core_files.js").Manifest} Manifest */
/** @typedef {Map<string, Uint8Array<ArrayBuffer>>} Files verified bytes by address */
/** @typedef {Record<string, {file_name: string, depends: string[]}>} Packages */
/**
 * @typedef {object} Python
 * @property {any} pyodide
 * @property {(name: string) => Promise<void>} loadPackage load one more package of the bundle
 * @property {import("./kernels.js").Kernels | null} kernels
 */

const CORE = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"];
const FOLDER = "pyodide/";
const PACKAGE = "offcut";

/** @param {URL} root the bundle's address @param {OnProgress} progress @returns {Promise<Python>} */
export async function bootPython(root, progress) {
  progress({ stage: "files", done: 0, total: 0, unit: "bytes" });
  const manifest = await fetchManifest(root);
  const lock = await fetchLock(root, manifest);
  const wheels = wheelsOf(PACKAGE, lock.packages);
  const paths = [...CORE, ...wheels.values()].map((name) => FOLDER + name);
  const files = await fetchAll(root, manifest, [...paths, ...kernelPaths(manifest)], progress);
  const kernels = compileKernels((path) => files.get(new URL(path, root).href));
  progress({ stage: "python", done: 0, total: 1, unit: "steps" });
  const pyodide = await start(new URL(FOLDER, root), files, lock.text, [...wheels.keys()]);
  /** @param {string} name */
  const loadPackage = async (name) => {
    const more = wheelsOf(name, lock.packages);
    for (const loaded of namesLoaded(pyodide)) more.delete(loaded);
    const missing = [...more.values()].map((file) => FOLDER + file);
    const fetched = await fetchAll(root, manifest, missing, () => {});
    await serving(fetched, () => pyodide.loadPackage([...more.keys()]));
    checkLoaded(pyodide, [...more.keys()]);
  };
  return { pyodide, loadPackage, kernels: await kernels };
}

/** @param {URL} root @param {Manifest} manifest */
async function fetchLock(root, manifest) {
  const data = await fetchVerified(root, manifest, "pyodide/pyodide-lock.json", () => {});
  const text = new TextDecoder().decode(data);
  return { text, packages: /** @type {Packages} */ (JSON.parse(text).packages) };
}

/** Return name -> file of a package and all it needs. @param {string} name @param {Packages} all */
function wheelsOf(name, all) {
  /** @type {Map<string, string>} */
  const found = new Map();
  const wanted = [name];
  for (let next = wanted.pop(); next; next = wanted.pop()) {
    if (found.has(next)) continue;
    const entry = all[next];
    if (!entry) throw new Failure("IntegrityError", `the lock file lacks ${next}`, "rebuild dist/");
    found.set(next, entry.file_name);
    wanted.push(...entry.depends);
  }
  return found;
}

/**
 * @param {URL} root @param {Manifest} manifest @param {string[]} paths
 * @param {OnProgress} progress @returns {Promise<Files>}
 */
async function fetchAll(root, manifest, paths, progress) {
  const total = paths.reduce((sum, path) => sum + (manifest.files[path]?.bytes ?? 0), 0);
  let done = 0;
  /** @param {number} bytes */
  const count = (bytes) => {
    done += bytes;
    progress({ stage: "files", done, total, unit: "bytes" });
  };
  const data = await Promise.all(paths.map((path) => fetchVerified(root, manifest, path, count)));
  return new Map(paths.map((path, k) => [new URL(path, root).href, data[k]]));
}

/**
 * @param {URL} folder @param {Files} files @param {string} lockText @param {string[]} packages
 */
async function start(folder, files, lockText, packages) {
  const wasm = new URL("pyodide.asm.wasm", folder).href;
  const compiled = WebAssembly.compile(/** @type {Uint8Array<ArrayBuffer>} */ (files.get(wasm)));
  files.set(wasm, new Uint8Array()); // asked for, but never read: see instantiating()
  const [module, { loadPyodide }, { default: createPyodideModule }] = await Promise.all([
    named(compiled, "the browser cannot compile pyodide.asm.wasm"),
    named(import(new URL("pyodide.mjs", folder).href), "pyodide.mjs cannot be run"),
    named(import(new URL("pyodide.asm.mjs", folder).href), "pyodide.asm.mjs cannot be run"),
  ]);
  const options = {
    indexURL: folder.href,
    packageBaseUrl: folder.href,
    lockFileContents: lockText,
    createPyodideModule,
    packages,
  };
  const load = () => instantiating(module, () => loadPyodide(options));
  const pyodide = await named(serving(files, load), "Python does not start");
  checkLoaded(pyodide, packages);
  return pyodide;
}

/**
 * Run `work` while fetch() answers from `files`; each is given out once.
 * @template T @param {Files} files @param {() => Promise<T>} work @returns {Promise<T>}
 */
async function serving(files, work) {
  const network = self.fetch;
  self.fetch = (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const data = files.get(url);
    if (!data) return network(input, init);
    files.delete(url);
    return Promise.resolve(new Response(data));
  };
  try {
    return await work();
  } finally {
    self.fetch = network;
  }
}

/**
 * Run `work` while WebAssembly.instantiateStreaming() uses the module compiled already. Pyodide
 * only logs when it fails, and then waits for ever; here the failure ends the wait.
 * @template T @param {WebAssembly.Module} module @param {() => Promise<T>} work @returns {Promise<T>}
 */
async function instantiating(module, work) {
  const original = WebAssembly.instantiateStreaming;
  /** @type {Promise<never>} */
  const failure = new Promise((_, reject) => {
    WebAssembly.instantiateStreaming = async (_source, imports) => {
      try {
        return { module, instance: await WebAssembly.instantiate(module, imports) };
      } catch (error) {
        reject(error);
        throw error;
      }
    };
  });
  try {
    return await Promise.race([work(), failure]);
  } finally {
    WebAssembly.instantiateStreaming = original;
  }
}

/** loadPackage() resolves even when a wheel is bad. @param {any} pyodide @param {string[]} names */
function checkLoaded(pyodide, names) {
  const loaded = namesLoaded(pyodide);
  const missing = names.filter((name) => !loaded.has(name));
  if (missing.length) {
    const text = `Python could not unpack ${missing.join(", ")}`;
    throw new Failure("IntegrityError", text, "reload the page; if it stays, rebuild dist/");
  }
}

/** A lock file may write Pillow with a capital. @param {any} pyodide @returns {Set<string>} */
function namesLoaded(pyodide) {
  return new Set(Object.keys(pyodide.loadedPackages).map((name) => name.toLowerCase()));
}

/** @template T @param {Promise<T>} promise @param {string} doing @returns {Promise<T>} */
async function named(promise, doing) {
  try {
    return await promise;
  } catch (error) {
    throw Failure.of(error, doing);
  }
}
