// Starts a worker that the page's content security policy governs too.
//
// A policy in a <meta> element does not reach a worker that is started by its address, in any
// engine. A blob: worker inherits the policy; this one consists of a single import. Where the
// service worker is in charge it sends the policy with the worker's script; and Firefox does not
// ask it for what a blob: worker imports.

/** @param {string} file of this folder @param {string} name @returns {Worker} */
export function startConfined(file, name) {
  const address = new URL(file, import.meta.url).href;
  if (isServed()) return new Worker(address, { type: "module", name });
  const script = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
  const url = URL.createObjectURL(script);
  const worker = new Worker(url, { type: "module", name });
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return worker;
}

/** Whether the service worker answers for this page; a worker goes by how it was started itself. */
function isServed() {
  if (!("document" in globalThis)) return self.location.protocol !== "blob:";
  return Boolean(navigator.serviceWorker?.controller);
}
