// The worker: boots Python, then hands each message to offcut.web.handlers; see bridge.js.
//
// It is started by confined_worker.js, so that the page's content security policy governs it too.

import { bootPython } from "./boot.js";
import { Failure } from "./failure.js";

const root = new URL("./", import.meta.url);

/** offcut.web.handlers.Service, once Python is up. @type {any} */
let service = null;

/** @param {object} message @param {Transferable[]} [transfer] */
const post = (message, transfer = []) => self.postMessage(message, { transfer });

self.addEventListener("message", (/** @type {any} */ { data }) => {
  if (data.cancel) service?.cancel(data.id);
  else service.accept(data);
});

self.addEventListener("unhandledrejection", ({ reason }) => {
  post({ fatal: Failure.of(reason, "Python stopped").report() });
});

/** No pixel may enter a worker from which code of strangers could run. */
function refuseUnlessConfined() {
  try {
    (0, eval)("1");
  } catch {
    return;
  }
  throw new Failure(
    "UnconfinedError",
    "the page's content security policy is not in force, so its promise of privacy cannot be kept",
    "serve dist/index.html as it was built",
  );
}

try {
  refuseUnlessConfined();
  const { pyodide, loadPackage, kernels } = await bootPython(root, (boot) => post({ boot }));
  post({ boot: { stage: "offcut", done: 0, total: 1, unit: "steps" } });
  const { Service } = pyodide.pyimport("offcut.web.handlers");
  service = Service(root.href, post, loadPackage, kernels);
  post({ boot: { stage: "up", done: 1, total: 1, unit: "steps" } });
} catch (error) {
  post({ fatal: Failure.of(error, "Offcut could not start").report() });
}
