// Offcut in a page of its own: the page's own boot and package, and a script that times them.
//
// ?script=FILE.py names the script; window.bench.ask(name, argument) calls its function `name`,
// window.bench.memory() resolves to the bytes that the page and its workers have.

const PATIENCE = 180_000; // milliseconds that an answer may take

const script = new URLSearchParams(location.search).get("script") ?? "bench_offcut.py";
const worker = new Worker(`./bench_worker.js?script=${script}`, { type: "module" });
/** @type {((data: any) => void)[]} */
const waiting = [];
worker.addEventListener("message", ({ data }) => waiting.shift()?.(data));
worker.addEventListener("error", ({ message }) => waiting.shift()?.({ error: message }));

/** @param {string} name @param {any} argument @returns {Promise<any>} */
function ask(name, argument) {
  return new Promise((resolve, reject) => {
    waiting.push((data) => (data.error ? reject(new Error(data.error)) : resolve(data.result)));
    worker.postMessage({ name, argument });
    setTimeout(() => reject(new Error(`${name}: no answer in ${PATIENCE} ms`)), PATIENCE);
  });
}

async function memory() {
  const { bytes } = await /** @type {any} */ (performance).measureUserAgentSpecificMemory();
  return bytes;
}

Object.assign(window, { bench: { ask, memory } });
