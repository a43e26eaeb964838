// Starts Python from a snapshot: its memory as the build left it, with all of Offcut imported.
//
// The build runs `take` in Node.js, the worker `restore`. Both load numpy's libraries before Python
// runs, so that they lie at the same addresses and their functions have the same numbers. What is
// written is then all of Python: its heap, its modules, and its references to JavaScript, which
// Pyodide keeps as a list of names. start/python.pack holds, beside files for Python's library
// folder,
//
//   snapshot/memory    the parts of memory that are not as WebAssembly alone would leave them
//   snapshot/parts     for each its address and its length, as 32-bit numbers
//   snapshot/objects   Pyodide's header with its list
//   snapshot/layout    JSON: {bytes, heap, functions, model}, see Layout
//
// The heap counts from zero, since what lies there before Python runs depends on the browser's
// language. Where the layout is another one nothing is restored.

import { Failure } from "./failure.js";
import { joined } from "./pack.js";

const BLOCK = 256; // bytes; smaller ones save little
const FOLDER = "snapshot/";
/** What the memory depends on, beside code; the seed of Python's hashes too. */
export const ENVIRONMENT = { HOME: "/home/pyodide", LANG: "C.UTF-8", PYTHONHASHSEED: "0" };

/** @typedef {{name: string, data: Uint8Array}} Member */
/** @typedef {{name: string, module: WebAssembly.Module}} Library by its path below the library folder */
/**
 * @typedef {object} Layout
 * @property {number} bytes of the whole memory
 * @property {number} heap where it begins: below lie constants, variables and the stack
 * @property {number} functions that have a number
 * @property {string} [model] the sha256 of the file of the model that is in it
 */
/**
 * @typedef {object} Snapshot
 * @property {Uint8Array} memory
 * @property {Uint32Array} parts
 * @property {Uint8Array} objects
 * @property {Layout} layout
 */

/** @param {string} name @returns {boolean} whether it is of the snapshot and no file */
export const isPart = (name) => name.startsWith(FOLDER);

/** @param {Member[]} members of a pack @returns {Promise<Library[]>} those that are libraries, compiled */
export function librariesOf(members) {
  const files = members.filter(({ name }) => name.endsWith(".so"));
  return Promise.all(
    files.map(async ({ name, data }) => ({
      name,
      module: await WebAssembly.compile(/** @type {Uint8Array<ArrayBuffer>} */ (data)),
    })),
  );
}

/**
 * Return a hook for Pyodide's preRun that loads libraries; Python finds them loaded later.
 * @param {Library[]} libraries @param {(module: any) => void} [then]
 */
export function loading(libraries, then = () => {}) {
  return (/** @type {any} */ pyodide) => {
    if (!pyodide.HEAP32[trampoline(pyodide)]) pyodide.wasmTable.grow(1);
    const folder = pyodide.API.sitePackages.replace(/[^/]*$/, "");
    for (const { name, module } of libraries) {
      const path = folder + name;
      const allowUndefined = module !== libraries.at(-1)?.module; // all are looked up at the end
      const flags = { global: false, nodelete: true, allowUndefined };
      const exported = pyodide.loadWebAssemblyModule(module, flags, path, {});
      Object.assign(pyodide.newDSO(path, undefined, exported), { global: false });
    }
    then(pyodide);
  };
}

/**
 * Where Python keeps the number of the function that calls C functions of any signature: the one
 * thing that differs between engines, since some cannot have it. It is put into the table first.
 * @param {any} pyodide @returns {number} an index into HEAP32
 */
function trampoline(pyodide) {
  const offset = pyodide.HEAP32[pyodide.__PyEM_EMSCRIPTEN_TRAMPOLINE_OFFSET >>> 2];
  return (pyodide.__PyRuntime + offset) >>> 2;
}

/** @param {any} pyodide Pyodide's Emscripten module, the libraries loaded @returns {Layout} */
export function layoutOf(pyodide) {
  const { wasmTable, HEAPU8 } = pyodide;
  return { bytes: HEAPU8.length, heap: heapEnd(pyodide), functions: wasmTable.length };
}

/** @param {any} pyodide @returns {number} the address up to which the heap has grown */
const heapEnd = (pyodide) => pyodide.HEAPU32[pyodide._emscripten_get_sbrk_ptr() >>> 2];

/**
 * Clear what has been freed, down to the smallest pieces, so that no rubbish is kept.
 * @param {any} pyodide
 */
export function clearFreed(pyodide) {
  const end = heapEnd(pyodide);
  const held = [];
  for (let size = 1 << 20; size >= 16; size >>= 1) {
    for (;;) {
      const at = pyodide._malloc(size);
      held.push(at);
      pyodide.HEAPU8.fill(0, at, at + size);
      if (at + size > end) break; // the heap has grown: there is nothing freed of this size
    }
  }
  for (const at of held) pyodide._free(at);
}

/**
 * Return the snapshot's members.
 * @param {any} pyodide
 * @param {{memory: Uint8Array, layout: Layout}} before when the libraries had just been loaded
 * @param {Uint8Array} picture as Pyodide makes it: a header with the list of objects, the memory
 * @param {string} model the sha256 of the file of the model that waits
 * @returns {Member[]}
 */
export function take(pyodide, before, picture, model) {
  const header = new DataView(picture.buffer).getUint32(4, true); // in bytes, with the list
  const now = picture.slice(header);
  now.fill(0, pyodide._emscripten_stack_get_end(), pyodide._emscripten_stack_get_current());
  const then = new Uint8Array(now.length);
  then.set(before.memory.subarray(0, before.layout.heap - (before.layout.heap % BLOCK)));
  const parts = [];
  const pieces = [];
  for (let at = 0, end = 0; at < now.length; at = end + BLOCK) {
    for (end = at; end < now.length && !isSame(now, then, end); ) end += BLOCK;
    if (end === at) continue;
    parts.push(at, end - at);
    pieces.push(now.subarray(at, end));
  }
  const layout = { ...before.layout, bytes: now.length, model };
  return [
    { name: `${FOLDER}memory`, data: joined(pieces) },
    { name: `${FOLDER}parts`, data: new Uint8Array(new Uint32Array(parts).buffer) },
    { name: `${FOLDER}objects`, data: picture.slice(0, header) },
    { name: `${FOLDER}layout`, data: new TextEncoder().encode(JSON.stringify(layout)) },
  ];
}

/** Whether a block is the same in both. @param {Uint8Array} a @param {Uint8Array} b @param {number} at */
function isSame(a, b, at) {
  let k = at;
  while (k < at + BLOCK && a[k] === b[k]) k += 1;
  return k === at + BLOCK;
}

/**
 * Return a snapshot from the members of a pack; null when it has none.
 * @param {Member[]} members @returns {Snapshot | null}
 */
export function read(members) {
  const found = new Map(members.map(({ name, data }) => [name, data]));
  /** @param {string} part */
  const part = (part) => /** @type {Uint8Array} */ (found.get(FOLDER + part));
  if (!part("layout")) return null;
  const layout = JSON.parse(new TextDecoder().decode(part("layout")));
  const parts = new Uint32Array(part("parts").slice().buffer);
  return { memory: part("memory"), parts, objects: part("objects").slice(), layout };
}

/**
 * Write the snapshot into the memory of a Pyodide that has not run.
 * @param {any} pyodide @param {Snapshot} snapshot @param {Layout} layout as it is here
 */
export function restore(pyodide, { memory, parts, layout }, { heap, functions }) {
  if (heap !== layout.heap || functions !== layout.functions) {
    throw new Failure("UnexpectedError", "Python's snapshot is of another layout");
  }
  const dirty = heapEnd(pyodide);
  pyodide.growMemory(layout.bytes);
  const own = pyodide.HEAP32[trampoline(pyodide)];
  const all = pyodide.HEAPU8;
  all.fill(0, heap - (heap % BLOCK), dirty);
  for (let k = 0, from = 0; k < parts.length; from += parts[k + 1], k += 2) {
    all.set(memory.subarray(from, from + parts[k + 1]), parts[k]);
  }
  pyodide.HEAP32[trampoline(pyodide)] = own;
}
