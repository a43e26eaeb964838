// onnxruntime-web in a page of its own: load one model, then time forwards on request.
//
// window.bench.open(threads) and window.bench.forward(runs) return promises; the driver awaits them.

import * as ort from "./onnxruntime-web/ort.wasm.min.mjs";

/** @type {any} */
let session = null;
/** @type {any} */
let input = null;

/** @param {number} threads @param {string} model */
async function open(threads, model) {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL("./onnxruntime-web/", import.meta.url).href;
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  input = new ort.Tensor("float32", new Float32Array(3 * 320 * 320), [1, 3, 320, 320]);
}

/** @param {number} runs @returns {Promise<number[]>} milliseconds of each run */
async function forward(runs) {
  const spent = [];
  for (let run = 0; run < runs; run++) {
    const begin = performance.now();
    await session.run({ [session.inputNames[0]]: input });
    spent.push(performance.now() - begin);
  }
  return spent;
}

Object.assign(window, { bench: { open, forward } });
