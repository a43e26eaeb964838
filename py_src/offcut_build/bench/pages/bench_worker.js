// The benchmark's worker: boots Python as the page does, then answers {open}, {forward}, {photo}.

import { bootPython } from "./boot.js";

const root = new URL("./", import.meta.url);
const scope = /** @type {any} */ (self);

const booted = bootPython(root, () => {}).then(async ({ pyodide, kernels }) => {
  const simd = pyodide.pyimport("offcut.backends.simd.library_js");
  if (kernels) simd.configure(kernels.single, kernels.threads, kernels.startThread);
  const source = await (await fetch(new URL("bench_offcut.py", root))).text();
  pyodide.runPython(source);
  return pyodide.globals;
});

scope.addEventListener("message", async (/** @type {MessageEvent} */ { data }) => {
  try {
    const python = await booted;
    const [name] = Object.keys(data);
    const answer = await python.get(name)(root.href, JSON.stringify(data[name]));
    scope.postMessage({ result: JSON.parse(answer) });
  } catch (error) {
    scope.postMessage({ error: String(error) });
  }
});
