// Takes a snapshot of Python once it has imported what the page needs; app/snapshot.js says what.
//
//   node take_snapshot.mjs APP CORE PACK SCRIPT WORK
//
// APP is the project's folder app/, CORE a folder with Pyodide's core and its lock file, PACK the
// modules' archive (a zip file). SCRIPT runs with the folder WORK mounted at /work: its function
// `fill()` before the snapshot, its `pack()` afterwards.

import nodeCrypto from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

process.on("uncaughtException", (error) => {
  console.error(error.message); // Node.js would print Pyodide's source too
  process.exit(1);
});

const [app, core, archive, script, work] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(path).href);

// What differs from one run to the next does not here, so that equal inputs give equal outputs.
process.env.TZ = "UTC";
Object.defineProperty(process, "version", { value: "v20.0.0" });
const NOW = Date.UTC(2000, 0, 1);
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length ? given : [NOW]));
  }
  static now = () => NOW;
};
performance.now = () => 0;
Math.random = () => 0.5;
nodeCrypto.randomFillSync = (array) => array.fill(1);

const { loadPyodide } = await load(`${core}/pyodide.mjs`);
const { default: createPyodideModule } = await load(`${core}/pyodide.asm.mjs`);
const { membersOf, unpack, index } = await load(`${app}/pack.js`);
const { ENVIRONMENT, clearFreed, layoutOf, librariesOf, loading, take } = await load(`${app}/snapshot.js`);

const zip = new Uint8Array(readFileSync(archive));
const members = [...membersOf(zip)];
const libraries = await librariesOf(members);
writeFileSync(`${core}/no-stdlib.zip`, "");

let before = null;
const pyodide = await loadPyodide({
  indexURL: core,
  packageBaseUrl: core,
  lockFileContents: readFileSync(`${core}/pyodide-lock.json`, "utf8"),
  stdLibURL: `${core}/no-stdlib.zip`,
  env: { ...ENVIRONMENT },
  _sysExecutable: "./this.program",
  _makeSnapshot: true,
  fsInit: async (FS, { sitePackages }) => {
    unpack(FS, sitePackages.replace(/[^/]*$/, ""), members);
    index(FS, zip, members);
  },
  createPyodideModule: (settings) => {
    const remember = (module) => {
      before = { memory: module.HEAPU8.slice(), layout: layoutOf(module) };
    };
    settings.preRun.push(loading(libraries, remember));
    return createPyodideModule(settings);
  },
});
pyodide.runPython(readFileSync(script, "utf8"), { filename: "snapshot_inside.py" });
pyodide.FS.mkdirTree("/work");
pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: work }, "/work");
const model = pyodide.runPython("fill()");
clearFreed(pyodide._module);
const parts = take(pyodide._module, before, pyodide._api.makeSnapshot(), model);
for (const { name, data } of parts) {
  mkdirSync(`${work}/snapshot`, { recursive: true });
  writeFileSync(`${work}/${name}`, data);
}
pyodide.runPython("pack()");
