// Boots Pyodide in the worker, in named steps, from verified bytes only.
//
//   files      manifest.json, Pyodide's core, the pack of modules, kernels, model: fetched, hashed
//   python     the WebAssembly is compiled, Python starts
//   offcut     Offcut and numpy are imported
//
// Each step is reported before it begins; a failure names the step or the file. All requests leave
// at once; what has arrived is compiled while the rest is under way. The worker's `performance` has
// a mark "offcut:NAME" for each thing that was finished, which `build.py bench` prints: core (and its
// WebAssembly compiled), modules (decompressed), model (fetched), files (all of these but the model),
// python, offcut, open (the model compiled).

import { fetchManifest, fetchVerified, fetchWaiting } from "./core_files.js";
import { Failure } from "./failure.js";
import { compileKernels } from "./kernels.js";
import { ModelFile } from "./model_file.js";
import { decompress, index, membersOf, unpack } from "./pack.js";
import * as snapshots from "./snapshot.js";

/** @typedef {{stage: string, done: number, total: number, unit: string}} Progress */
/** @typedef {(progress: Progress) => void} OnProgress */
/** @typedef {import("./core_files.js").Manifest} Manifest */
/** @typedef {import("./witness.js").Witness} Witness */
/** @typedef {Record<string, {file_name: string, depends: string[]}>} Packages */
/**
 * @typedef {(path: string, onBytes?: (more: number) => void, onResponse?: (copy: Response) => void)
 *   => Promise<Uint8Array<ArrayBuffer>>} FetchFile gives verified bytes; with `onBytes`, they do not
 *   count as part of the step "files"
 */
/**
 * @typedef {object} Pack what Python starts from
 * @property {Uint8Array} zip
 * @property {import("./pack.js").Member[]} members files for Python's library folder
 * @property {import("./snapshot.js").Snapshot | null} snapshot
 * @property {import("./snapshot.js").Library[]} libraries
 */
/**
 * @typedef {object} Python
 * @property {any} pyodide
 * @property {(name: string) => Promise<void>} loadPackage load one more package of the bundle
 * @property {import("./kernels.js").Kernels | null} kernels
 * @property {Manifest} manifest
 * @property {() => Promise<import("./model_file.js").Fetched | null>} takeModel
 */

const FOLDER = "pyodide/";
const LOCK = "pyodide/pyodide-lock.json";
const TELL_EVERY = 50; // milliseconds between reports of progress
const PACK = "start/python.pack"; // a snapshot and what it lacks; where there is none, all modules
const MODULES = "start/modules.pack"; // all modules, for a browser that the snapshot does not fit
const SPARE = "pillow"; // decodes what the browser cannot, or would alter
const LEFT_OUT = "start/left_out.json"; // for the first import that finds nothing

/**
 * @param {URL} root the bundle's address @param {OnProgress} progress
 * @param {Witness} [witness] @param {Promise<string>} [model] the name of the model to fetch meanwhile
 * @param {Promise<string>} [build] that the page is of
 * @returns {Promise<Python>}
 */
export async function bootPython(root, progress, witness, model, build) {
  progress({ stage: "files", done: 0, total: 0, unit: "bytes" });
  const manifest = fetchManifest(root);
  const fetchFile = counting(root, manifest, progress, witness);
  const core = fetchCore(root, manifest, fetchFile);
  core.then(() => mark("core"), () => {});
  const kernels = compileKernels(fetchFile);
  const pack = fetchPack(PACK, fetchFile);
  pack.then(() => mark("modules"), () => {});
  const here = pack.then(({ snapshot }) => snapshot?.layout.model ?? "", () => "");
  const modelFile = model && new ModelFile(model, fetchFile, progress, here);
  modelFile?.fetched.then(() => mark("model"));
  const lock = fetchFile(LOCK).then((data) => new TextDecoder().decode(data));
  const listed = fetchFile(LEFT_OUT).then((data) => new TextDecoder().decode(data));
  const same = refuseOtherBuild(manifest, build);
  await Promise.all([manifest, pack, lock, core, kernels, listed, same]);
  mark("files");
  const pillow = FOLDER + JSON.parse(await lock).packages[SPARE]?.file_name;
  const atHand = new Map();
  const spare = fetchSpare([pillow], fetchFile, atHand);
  progress({ stage: "python", done: 0, total: 1, unit: "steps" });
  const folder = new URL(FOLDER, root);
  const begin = async (/** @type {Pack} */ from) => start(folder, await core, from, await lock);
  const pyodide = await begin(await pack).catch(async (error) => {
    if (!(await pack).snapshot) throw error;
    console.warn("Python starts without its snapshot:", error);
    return begin(await fetchPack(MODULES, fetchFile));
  });
  mark("python");
  const files = await manifest;
  /** @param {string} path */
  const wait = (path) => {
    const data = atHand.get(path);
    return data ? { data, sha256: files.files[path].sha256 } : fetchWaiting(root, files, path);
  };
  pyodide.pyimport("offcut.web.missing").install(wait, await listed);
  /** @param {string} name */
  const loadPackage = async (name) => {
    const more = wheelsOf(name, JSON.parse(await lock).packages);
    for (const loaded of namesLoaded(pyodide)) more.delete(loaded);
    const paths = [...more.values()].map((file) => FOLDER + file);
    await spare;
    const data = await Promise.all(
      paths.map((path) => atHand.get(path) ?? fetchVerified(root, manifest, path, { witness })),
    );
    const fetched = new Map(paths.map((path, k) => [new URL(path, root).href, data[k]]));
    await serving(fetched, () => pyodide.loadPackage([...more.keys()]));
    checkLoaded(pyodide, [...more.keys()]);
  };
  const takeModel = async () => {
    await spare; // "ready" comes after it, and promises that no photo causes a request
    return modelFile ? modelFile.take() : null;
  };
  return { pyodide, loadPackage, manifest: files, kernels: await kernels, takeModel };
}

/**
 * Where no service worker is in charge yet, the server may have been given another build since the
 * page was loaded. Throws Failure.
 * @param {Promise<Manifest>} manifest @param {Promise<string>} [build]
 */
async function refuseOtherBuild(manifest, build) {
  const [{ build: found }, wanted] = await Promise.all([manifest, build]);
  if (!wanted || wanted === found) return;
  const text = "the server was given another version of Offcut after this page was loaded";
  throw new Failure("UpdateError", text, "reload the page");
}

/**
 * Fetch a pack and decompress it while it arrives; the libraries of one with a snapshot are compiled.
 * @param {string} path @param {FetchFile} fetchFile @returns {Promise<Pack>}
 */
async function fetchPack(path, fetchFile) {
  /** @type {Promise<Uint8Array | null>} */
  let streaming = Promise.resolve(null);
  const data = await fetchFile(path, undefined, ({ body }) => {
    streaming = decompress(/** @type {ReadableStream} */ (body)).catch(() => null);
  });
  const zip = (await streaming) ?? (await decompress(/** @type {ReadableStream} */ (new Response(data).body)));
  const all = [...membersOf(zip)];
  const snapshot = snapshots.read(all);
  const members = all.filter(({ name }) => !snapshots.isPart(name));
  const libraries = snapshot ? await snapshots.librariesOf(members) : [];
  return { zip, members, snapshot, libraries };
}

/**
 * Fetch what some photo may need while Python starts, so that no photo causes a request. What
 * fails is asked for again when it is needed.
 * @param {string[]} paths @param {FetchFile} fetchFile
 * @param {Map<string, Uint8Array<ArrayBuffer>>} atHand gets the files as they arrive
 */
async function fetchSpare(paths, fetchFile, atHand) {
  const one = async (/** @type {string} */ path) => atHand.set(path, await fetchFile(path, () => {}));
  await Promise.allSettled(paths.map(one));
}

/** @param {string} name something is finished */
export function mark(name) {
  performance.mark(`offcut:${name}`);
}

/**
 * Return a function that fetches one more file; `progress` gets the sum over all of them.
 * @param {URL} root @param {Promise<Manifest>} manifest @param {OnProgress} progress
 * @param {Witness} [witness] @returns {FetchFile}
 */
function counting(root, manifest, progress, witness) {
  let done = 0;
  let total = 0;
  let told = 0;
  return (path, onOwnBytes, onResponse) => {
    if (onOwnBytes) {
      return fetchVerified(root, manifest, path, { onBytes: onOwnBytes, onResponse, witness });
    }
    manifest.then(
      ({ files }) => (total += files[path]?.bytes ?? 0),
      () => {},
    );
    /** @param {number} bytes */
    const onBytes = (bytes) => {
      done += bytes;
      if (performance.now() < told + TELL_EVERY) return;
      told = performance.now();
      progress({ stage: "files", done, total: Math.max(done, total), unit: "bytes" });
    };
    return fetchVerified(root, manifest, path, { onBytes, onResponse, witness });
  };
}

/**
 * Fetch Pyodide itself. The WebAssembly is compiled while it arrives, from the same bytes that are
 * hashed; the scripts are run from the browser's cache once they are verified.
 * @param {URL} root @param {Promise<Manifest>} manifest @param {FetchFile} fetchFile
 */
async function fetchCore(root, manifest, fetchFile) {
  /** @param {string} path */
  const script = async (path) => {
    await fetchFile(path);
    return named(import(new URL(path, root).href), `${path} cannot be run`);
  };
  const [module, { loadPyodide }, { default: createPyodideModule }] = await Promise.all([
    fetchWasm(`${FOLDER}pyodide.asm.wasm`, fetchFile),
    script(`${FOLDER}pyodide.mjs`),
    script(`${FOLDER}pyodide.asm.mjs`),
  ]);
  return { module, loadPyodide, createPyodideModule };
}

/** @param {string} path @param {FetchFile} fetchFile */
async function fetchWasm(path, fetchFile) {
  /** @type {Promise<WebAssembly.Module | null>} */
  let streaming = Promise.resolve(null);
  const data = await fetchFile(path, undefined, (response) => {
    streaming = WebAssembly.compileStreaming(response).catch(() => null);
  });
  const compiled = await streaming; // null where the server gives it another type
  return compiled ?? named(WebAssembly.compile(data), `the browser cannot compile ${path}`);
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
 * @param {URL} folder @param {Awaited<ReturnType<typeof fetchCore>>} core
 * @param {Pack} pack @param {string} lockFileContents
 */
async function start(folder, core, pack, lockFileContents) {
  const { module, loadPyodide, createPyodideModule } = core;
  const { snapshot } = pack;
  // Both are asked for; the one is never read, see instantiating(), the other has no modules.
  const empty = new Uint8Array();
  const stdLibURL = new URL("no-stdlib.zip", folder).href;
  const files = new Map([[new URL("pyodide.asm.wasm", folder).href, empty], [stdLibURL, empty]]);
  const options = {
    indexURL: folder.href,
    packageBaseUrl: folder.href,
    lockFileContents,
    stdLibURL,
    createPyodideModule: snapshot ? restoring(createPyodideModule, pack) : createPyodideModule,
    env: snapshot ? { ...snapshots.ENVIRONMENT } : {},
    _loadSnapshot: snapshot?.objects,
    /** @param {any} FS @param {{sitePackages: string}} paths */
    fsInit: async (FS, { sitePackages }) => {
      unpack(FS, sitePackages.replace(/[^/]*$/, ""), pack.members);
      if (!snapshot) index(FS, pack.zip, pack.members);
    },
  };
  const load = () => instantiating(module, () => loadPyodide(options));
  const pyodide = await named(serving(files, load), "Python does not start");
  if (snapshot) pyodide.pyimport("random").seed(); // the snapshot's is the same for all
  return pyodide;
}

/** @param {(settings: any) => Promise<any>} create @param {Pack} pack with a snapshot */
function restoring(create, { snapshot, libraries }) {
  return async (/** @type {any} */ settings) => {
    /** @type {any} */
    let layout;
    const look = (/** @type {any} */ made) => (layout = snapshots.layoutOf(made));
    settings.preRun.push(snapshots.loading(libraries, look));
    const made = await create(settings);
    snapshots.restore(made, /** @type {import("./snapshot.js").Snapshot} */ (snapshot), layout);
    return made;
  };
}

/**
 * Run `work` while fetch() answers from `files`; each is given out once.
 * @template T @param {Map<string, Uint8Array<ArrayBuffer>>} files verified bytes by address
 * @param {() => Promise<T>} work @returns {Promise<T>}
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
