// onnxruntime-web in a page of its own: load one model at a time, then time it on request.
//
// window.bench.open(threads, model), .forward(runs): a network with one image as its input.
// window.bench.openOp(model, shapes), .runOp(times): an operator in a Loop, see op_model.py.

import * as ort from "./onnxruntime-web/ort.wasm.min.mjs";

const PERIOD = 1009; // of an operator's input values; bench_ops.py fills its own alike
const SAMPLES = 64;
const TRIALS = 6;
const REST = 250; // milliseconds before a forward, as bench_offcut.py has them
const TOLD = 0.5; // of a single trip, copies included, that the others must take to be told from it

/** @type {any} */
let session = null;
/** @type {Record<string, any>} */
let inputs = {};

/** @param {string} model @param {number} threads */
async function load(model, threads) {
  await session?.release();
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL("./onnxruntime-web/", import.meta.url).href;
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
}

/** @param {number} threads @param {string} model */
async function open(threads, model) {
  await load(model, threads);
  const image = new Float32Array(3 * 320 * 320);
  inputs = { [session.inputNames[0]]: new ort.Tensor("float32", image, [1, 3, 320, 320]) };
}

/** @param {number} runs @returns {Promise<number[]>} milliseconds of each run */
async function forward(runs) {
  const spent = [];
  for (let run = 0; run < runs; run++) {
    await new Promise((resolve) => setTimeout(resolve, REST));
    const begin = performance.now();
    await session.run(inputs, [session.outputNames[0]]); // the others are side maps
    spent.push(performance.now() - begin);
  }
  return spent;
}

/** @param {string} model @param {number[][]} shapes of the inputs x0, x1... */
async function openOp(model, shapes) {
  await load(model, 1);
  inputs = {};
  shapes.forEach((shape, at) => {
    const values = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
    for (let i = 0; i < values.length; i++) values[i] = (i % PERIOD) / PERIOD;
    inputs[`x${at}`] = new ort.Tensor("float32", values, shape);
  });
  const { y } = await session.run({ ...inputs, trips: trips(1) });
  const step = Math.max(1, Math.floor(y.data.length / SAMPLES));
  const sample = [];
  for (let at = 0; at < y.data.length && sample.length < SAMPLES; at += step) sample.push(y.data[at]);
  let [low, high] = [Infinity, -Infinity];
  for (const value of y.data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high, sample };
}

/** @param {number} count */
const trips = (count) => new ort.Tensor("int64", BigInt64Array.of(BigInt(count)), []);

/** @param {number} count @returns {Promise<number>} milliseconds of so many trips */
async function runTrips(count) {
  const begin = performance.now();
  await session.run({ ...inputs, trips: trips(count) });
  return performance.now() - begin;
}

/**
 * The least of at least two trials each, since the machine may be busy during one of them.
 * @param {number} times @returns {Promise<number>} milliseconds of the operator alone; 0 when it is
 * too short to tell, and should run more often
 */
async function runOp(times) {
  let [one, more] = [Infinity, Infinity];
  for (let trial = 1; trial <= TRIALS; trial++) {
    one = Math.min(one, await runTrips(1));
    more = Math.min(more, await runTrips(1 + times));
    if (trial > 1 && more - one > TOLD * one) return (more - one) / times;
  }
  return 0;
}

Object.assign(window, { bench: { open, forward, openOp, runOp } });
