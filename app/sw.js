// The service worker: the page without a network, and security headers where the host sends none.
//
// The build makes one classic script of this file, the rows of manifest.json and the headers of
// _headers. It gives out exactly these files, each hashed as it leaves, whatever lies on the server
// by then. A newer version gets all its files first, then waits until no page of this one is open,
// or until the user asks for it.

// @ts-ignore the build makes it
import * as bundle from "./bundle.js";
import { digest, find, has, keep, tidy } from "./store.js";

/** @typedef {import("./store.js").Kept} File */

/** @type {{VERSION: string, BUILD: string, HEADERS: Record<string, string>, FILES: Record<string, import("./store.js").Row>}} */
const { VERSION, BUILD, HEADERS, FILES } = bundle;
const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const scope = new URL("./", worker.location.href);
/** Loaded, verified and kept by the page's own worker on a first visit. */
const BY_WORKER = /^pyodide\/|^start\/|^models\/.+\.safetensors$/;
/** Hardly ever needed: for servers and notebooks, and archives that start/ stands in for. */
const NEVER = /^_headers$|^start\/modules\.pack$|^pyodide\/(python_stdlib|(micropip|numpy|offcut|pyodide_http)-)/;

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(tidyWhenAlone()));
worker.addEventListener("message", (event) => {
  if (event.data?.activate) worker.skipWaiting();
  if (event.data?.hash) event.waitUntil(testify(event.data.hash, event.ports[0]));
});
worker.addEventListener("fetch", (event) => {
  const path = pathOf(event.request);
  if (path === "manifest.json") event.respondWith(manifest());
  else if (path in FILES) event.respondWith(answer(path, event.request));
  if (event.request.mode === "navigate") event.waitUntil(tidyWhenAlone());
});

/** Files that were right when this worker last hashed them. @type {Set<string>} */
const right = new Set();

/** Get the page's files; those of a newer version all, so that it can start without a network. */
async function install() {
  const update = Boolean(worker.registration.active);
  const paths = Object.keys(FILES).filter((path) => !NEVER.test(path));
  const wanted = update ? await withoutSpareModels(paths) : paths.filter((p) => !BY_WORKER.test(p));
  await Promise.all(wanted.map(save));
}

/** Models that are not the default one are kept once somebody uses them. @param {string[]} paths */
async function withoutSpareModels(paths) {
  const index = JSON.parse(new TextDecoder().decode((await load("models/index.json")).data));
  const model = `models/${index.models[index.default].file}`;
  return paths.filter((path) => !path.endsWith(".safetensors") || path === model);
}

/** @param {string} path */
async function save(path) {
  if (await has(scope, FILES[path])) return;
  const { data, type } = await load(path);
  const refusal = await keep(scope, FILES[path], data, type);
  if (refusal) throw new Error(`${path} is not kept: ${refusal}`);
}

/**
 * Fetch a file past this worker, and accept it only as the build made it.
 * @param {string} path @returns {Promise<File>}
 */
async function load(path) {
  const url = new URL(path, scope);
  for (const cache of /** @type {RequestCache[]} */ (["no-cache", "reload"])) {
    const response = await fetch(url, { cache });
    if (!response.ok || response.type !== "basic") continue;
    const data = new Uint8Array(await response.arrayBuffer());
    const type = response.headers.get("content-type") ?? "";
    if ((await digest(data)) !== FILES[path].sha256) continue;
    right.add(path);
    return { data, type };
  }
  throw new Error(`${path} is not the one of version ${VERSION}`);
}

/** @param {Request} request @returns {string} of the manifest; "" for what is none of ours */
function pathOf({ method, url }) {
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== scope.origin || !pathname.startsWith(scope.pathname)) return "";
  return decodeURIComponent(pathname.slice(scope.pathname.length)) || "index.html";
}

/** @param {string} path @param {Request} request @returns {Promise<Response>} */
async function answer(path, request) {
  try {
    let file = await find(scope, FILES[path]);
    if (!file) {
      file = await load(path);
      await keep(scope, FILES[path], file.data, file.type);
    }
    return reply(file, request.headers.get("range"));
  } catch {
    return missing(path);
  }
}

/** @param {File} file @param {string | null} range as Python asks for a model's parts */
function reply({ data, type }, range) {
  const headers = new Headers({ ...HEADERS, "Content-Type": type });
  const span = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
  const from = Number(span?.[1] ?? 0);
  const to = Math.min(Number(span?.[2] ?? data.length - 1), data.length - 1);
  if (!span || from > to) return new Response(data, { headers });
  headers.set("Content-Range", `bytes ${from}-${to}/${data.length}`);
  return new Response(data.subarray(from, to + 1), { status: 206, headers });
}

/**
 * Tell the page which of its files were hashed and are right, with their hashes.
 * @param {string[]} urls @param {MessagePort} port
 */
async function testify(urls, port) {
  const paths = urls.map((url) => pathOf(new Request(url))).filter((path) => path in FILES);
  /** @param {string} path */
  const check = async (path) => right.has(path) || Boolean(await find(scope, FILES[path]));
  const good = await Promise.all(paths.map(check));
  port.postMessage(paths.filter((_, k) => good[k]).map((path) => [path, FILES[path].sha256]));
}

/** Neither kept nor to be had in this version. @param {string} path */
function missing(path) {
  const text = `${path} is no longer kept by the browser, and its server does not give it out now\n`;
  const headers = { ...HEADERS, "Content-Type": "text/plain; charset=utf-8" };
  return new Response(text, { status: 504, headers });
}

/** The list that this version consists of, though the server may have a newer one. */
async function manifest() {
  const headers = { ...HEADERS, "Content-Type": "application/json" };
  return new Response(JSON.stringify({ version: VERSION, build: BUILD, files: FILES }), { headers });
}

/** Other pages, open still, may be of the version before and need its files. */
async function tidyWhenAlone() {
  if (worker.registration.waiting || worker.registration.installing) return;
  const open = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (open.length === 0) await tidy(scope, Object.values(FILES)).catch(() => {});
}
