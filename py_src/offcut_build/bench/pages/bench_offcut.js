// Offcut in a page of its own: the page's own boot and package, timed on request.
//
// window.bench.open(threads, model, backend) and window.bench.forward(runs) return promises.

const worker = new Worker("./bench_worker.js", { type: "module" });
/** @type {((data: any) => void)[]} */
const waiting = [];
worker.addEventListener("message", ({ data }) => waiting.shift()?.(data));

/** @param {object} request @returns {Promise<any>} */
function ask(request) {
  return new Promise((resolve, reject) => {
    waiting.push((data) => (data.error ? reject(new Error(data.error)) : resolve(data.result)));
    worker.postMessage(request);
  });
}

/** @param {number} threads @param {string} model @param {string} backend */
const open = (threads, model, backend) => ask({ open: { threads, model, backend } });
/** @param {number} runs @returns {Promise<number[]>} milliseconds of each run */
const forward = (runs) => ask({ forward: runs });
/** @param {number} megapixels @returns {Promise<object>} milliseconds per stage */
const photo = (megapixels) => ask({ photo: megapixels });

Object.assign(window, { bench: { open, forward, photo } });
