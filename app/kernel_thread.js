// One helper thread of the kernels, on a memory that it shares with the worker of Python.
//
// in    {module, memory, base, stack, ith, job}   instantiate, then serve as helper number ith
// out   "ready"                                   just before serving
//
// Serving is one call into WebAssembly that lasts until the program is closed: between jobs the
// thread sleeps on the memory (kernels/program.c), so no message arrives here meanwhile.

import { closeWaysOut, refuseUnlessConfined } from "./confinement.js";

closeWaysOut();
refuseUnlessConfined();

addEventListener("message", async ({ data }) => {
  /** @type {{ module: WebAssembly.Module, memory: WebAssembly.Memory, base: number, stack: number, ith: number, job: number }} */
  const { module, memory, base, stack, ith, job } = data;
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  const { __stack_pointer: pointer, serve } = /** @type {any} */ (instance.exports);
  pointer.value = stack; // a stack of its own: the module's belongs to thread 0
  self.postMessage("ready");
  serve(base, ith, job);
  self.close();
});
