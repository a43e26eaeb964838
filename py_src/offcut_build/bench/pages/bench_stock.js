// What everybody starts with: loadPyodide() and numpy from Pyodide's files as they are published.

import { loadPyodide } from "./pyodide/pyodide.mjs";

const pyodide = await loadPyodide();
await pyodide.loadPackage("numpy");
pyodide.runPython("import numpy");
document.documentElement.dataset.state = "ready";
