// Starts Pyodide in Node.js and runs a Python file in it.
//
//   node run_inside.mjs CORE LOCK SCRIPT WORK
//
// CORE is a folder with Pyodide's core, LOCK the lock file for it; SCRIPT runs with the folder WORK
// mounted at /work. The seed of Python's hashes is fixed, so that equal inputs give equal outputs.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [core, lock, script, work] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${core}/pyodide.mjs`).href);
const pyodide = await loadPyodide({
  indexURL: core,
  lockFileContents: readFileSync(lock, "utf8"),
  env: { PYTHONHASHSEED: "0", HOME: "/home" },
});
pyodide.FS.mkdirTree("/work");
pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: work }, "/work");
try {
  pyodide.runPython(readFileSync(script, "utf8"), { filename: "compile_inside.py" });
} catch (error) {
  console.error(error.message); // Python's traceback; Node.js would print Pyodide's source too
  process.exitCode = 1;
}
