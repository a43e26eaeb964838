// The worker of python.js.

import { bootPython } from "./boot.js";

const scope = /** @type {any} */ (self);
const booted = bootPython(new URL("./", import.meta.url), () => {});

scope.onmessage = async (/** @type {MessageEvent} */ { data }) => {
  try {
    const { pyodide, kernels, loadPackage } = await booted;
    pyodide.globals.set("load_package", loadPackage);
    if (kernels) {
      const simd = pyodide.pyimport("offcut.backends.simd.library_js");
      simd.configure(kernels.single, kernels.threads, kernels.startThread, kernels.pictures);
    }
    for (const [path, text] of Object.entries(data.files)) {
      pyodide.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
      pyodide.FS.writeFile(path, text);
    }
    const result = await pyodide.runPythonAsync(data.source);
    scope.postMessage({ result: result?.toJs ? result.toJs() : result });
  } catch (error) {
    scope.postMessage({ error: String(error) });
  }
};
