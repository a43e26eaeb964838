// The benchmark's worker: boots Python as the page does, then calls functions of ?script=FILE.py.

import { bootPython } from "./boot.js";

const root = new URL("./", import.meta.url);
const script = new URL(import.meta.url).searchParams.get("script") ?? "";
const scope = /** @type {any} */ (self);

const booted = bootPython(root, () => {}).then(async ({ pyodide, loadPackage, kernels }) => {
  const { Service } = pyodide.pyimport("offcut.web.handlers");
  const service = Service(root.href, () => {}, loadPackage, kernels);
  pyodide.runPython(await (await fetch(new URL(script, root))).text());
  pyodide.globals.get("start")?.(service);
  return pyodide.globals;
});

scope.addEventListener("message", async (/** @type {MessageEvent} */ { data }) => {
  try {
    const python = await booted;
    const answer = await python.get(data.name)(root.href, JSON.stringify(data.argument));
    scope.postMessage({ result: JSON.parse(answer) });
  } catch (error) {
    scope.postMessage({ error: String(error) });
  }
});
