// A page for tests: Python booted as the app does, to run sources that the test hands in.
//
// window.runPython(files, source): files are written first (path -> text); source is run with
// top-level await, and the value of its last expression comes back.

const worker = new Worker("./python_worker.js", { type: "module" });

/** @param {Record<string, string>} files @param {string} source @returns {Promise<any>} */
const runPython = (files, source) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => ("error" in data ? reject(data.error) : resolve(data.result));
    worker.postMessage({ files, source });
  });

Object.assign(window, { runPython });
