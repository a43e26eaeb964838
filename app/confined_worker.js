// Starts a worker that the page's content security policy governs too.
//
// A policy in a <meta> element does not reach a worker that is started by its address, in any
// engine. A blob: worker inherits the policy; this one consists of a single import.

/** @param {string} file of this folder @param {string} name @returns {Worker} */
export function startConfined(file, name) {
  const address = new URL(file, import.meta.url).href;
  const script = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
  const url = URL.createObjectURL(script);
  const worker = new Worker(url, { type: "module", name });
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return worker;
}
