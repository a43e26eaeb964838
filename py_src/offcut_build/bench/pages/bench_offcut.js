// Offcut in a page of its own: the page's own boot and package, and a script that times them.
//
// ?script=FILE.py names the script; window.bench.ask(name, argument) calls its function `name`.

const script = new URLSearchParams(location.search).get("script") ?? "bench_offcut.py";
const worker = new Worker(`./bench_worker.js?script=${script}`, { type: "module" });
/** @type {((data: any) => void)[]} */
const waiting = [];
worker.addEventListener("message", ({ data }) => waiting.shift()?.(data));

/** @param {string} name @param {any} argument @returns {Promise<any>} */
function ask(name, argument) {
  return new Promise((resolve, reject) => {
    waiting.push((data) => (data.error ? reject(new Error(data.error)) : resolve(data.result)));
    worker.postMessage({ name, argument });
  });
}

Object.assign(window, { bench: { ask } });
