// The worker: boots Python, then hands each message to offcut.web.handlers; see bridge.js.
//
// It is started by confined_worker.js, so that the page's content security policy governs it too.

import { bootPython, mark } from "./boot.js";
import { closeWaysOut, refuseUnlessConfined } from "./confinement.js";
import { Failure } from "./failure.js";
import { Witness } from "./witness.js";

const root = new URL("./", import.meta.url);

/** offcut.web.handlers.Service, once Python is up. @type {any} */
let service = null;

/** @param {object} message @param {Transferable[]} [transfer] */
const post = (message, transfer = []) => self.postMessage(message, { transfer });

const PAUSE = 100; // milliseconds without a call, after which there is time to keep files
let calls = 0; // that are not answered

/** @type {(page: {expect: string, build: string}) => void} */
let expect;
/** @type {Promise<{expect: string, build: string}>} */
const page = new Promise((resolve) => (expect = resolve));

self.addEventListener("message", (/** @type {any} */ { data }) => {
  if ("expect" in data) expect(data);
  else if (data.cancel) service?.cancel(data.id);
  else {
    calls += 1;
    service.accept(data);
  }
});

self.addEventListener("unhandledrejection", ({ reason }) => {
  post({ fatal: Failure.of(reason, "Python stopped").report() });
});

try {
  closeWaysOut();
  refuseUnlessConfined();
  const witness = new Witness(root);
  const tell = (/** @type {any} */ progress) => post({ boot: progress });
  const model = page.then(({ expect }) => expect);
  const build = page.then(({ build }) => build);
  const boot = await bootPython(root, tell, witness, model, build);
  post({ boot: { stage: "offcut", done: 0, total: 1, unit: "steps" } });
  const { Service } = boot.pyodide.pyimport("offcut.web.handlers");
  mark("offcut");
  /** @param {string} path @param {Uint8Array<ArrayBuffer>} data a model that Python verified */
  const keep = (path, data) => {
    const row = boot.manifest.files[path];
    if (!row) return;
    witness.verified(path, row);
    witness.keep(row, data, "application/octet-stream");
  };
  const flush = () => {
    if (!calls) witness.flush();
  };
  /** @param {any} message to the page */
  const send = (message) => {
    post(message);
    if (!("result" in message || "error" in message)) return;
    if (message.id === 1) mark("open");
    calls -= 1;
    setTimeout(flush, PAUSE); // a photo that waits goes first
  };
  service = Service(root.href, send, boot.loadPackage, boot.kernels, keep, boot.takeModel);
  post({ boot: { stage: "up", done: 1, total: 1, unit: "steps" } });
} catch (error) {
  post({ fatal: Failure.of(error, "Offcut could not start").report() });
}
