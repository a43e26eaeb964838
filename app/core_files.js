// Fetches the bundle's files and checks each against manifest.json before anything uses it.
//
// loadPyodide() never settles when its WebAssembly is missing or cut, and loads a damaged standard
// library without a word. So it gets only bytes whose sha256 is right, or the user gets an error
// that names the file. A file that is wrong is asked for once more, past the browser's cache.

import { Failure } from "./failure.js";
import { joined } from "./pack.js";
import { digest, find, isEmpty } from "./store.js";

/** @typedef {import("./store.js").Row} Row */
/** @typedef {import("./witness.js").Witness} Witness */
/** @typedef {{version: string, build?: string, files: Record<string, Row>}} Manifest */
/** @typedef {(bytes: number) => void} OnBytes Called with how many more bytes have arrived. */
/** @typedef {(response: Response) => void} OnResponse Called with a copy of a good response. */

const SILENCE = 15_000; // milliseconds without a byte before a connection counts as dead
const REBUILD = "reload the page; if it stays, the copy on the server is damaged: rebuild dist/";
const SCRIPT_TYPES = /^(text|application)\/(x-)?(java|ecma)script\b/i;

/** @param {URL} root the bundle's address @returns {Promise<Manifest>} */
export async function fetchManifest(root) {
  const name = "manifest.json";
  const { data } = await download(new URL(name, root), name, "no-cache", () => {});
  try {
    const manifest = JSON.parse(new TextDecoder().decode(data));
    if (typeof manifest.version === "string" && typeof manifest.files === "object") return manifest;
  } catch {
    // Not JSON: answered below.
  }
  throw new Failure(
    "IntegrityError",
    `${name} is not the bundle's list of files; the server sent something else`,
    REBUILD,
  );
}

/**
 * Take a file from what the browser keeps, or fetch and keep it. On a first visit the request does
 * not wait for the manifest; the answer does.
 * @param {URL} root
 * @param {Promise<Manifest>} manifest
 * @param {string} path in the manifest
 * @param {object} [options]
 * @param {OnBytes} [options.onBytes]
 * @param {OnResponse} [options.onResponse] may begin with the bytes, but use nothing before they are right
 * @param {Witness} [options.witness]
 * @returns {Promise<Uint8Array<ArrayBuffer>>} the file's bytes, verified
 */
export async function fetchVerified(root, manifest, path, options = {}) {
  const { onBytes = () => {}, onResponse, witness } = options;
  const row = manifest.then(({ files }) => files[path] ?? Promise.reject(unnamed(path)));
  row.catch(() => {}); // awaited below, maybe long after it fails
  const kept = (await isEmpty(root)) ? null : await find(root, await row);
  /** @param {RequestCache} cache */
  const attemptBy = (cache) => attempt(root, path, row, cache, onBytes, onResponse);
  const { data, type } = kept ?? (await attemptBy("default").catch(() => attemptBy("reload")));
  if (kept) onBytes(data.byteLength);
  witness?.verified(path, await row);
  if (!kept) witness?.keep(await row, data, type);
  return data;
}

/**
 * Fetch a file while this thread waits, for an import that cannot; Python verifies it.
 * @param {URL} root @param {Manifest} manifest @param {string} path
 * @returns {{data: Uint8Array, sha256: string}} the bytes, and what their hash must be
 */
export function fetchWaiting(root, manifest, path) {
  const row = manifest.files[path];
  if (!row) throw unnamed(path);
  const request = new XMLHttpRequest();
  request.open("GET", new URL(path, root), false);
  request.responseType = "arraybuffer";
  request.send();
  if (request.status !== 200) throw unanswered(path, request.status);
  return { data: new Uint8Array(request.response), sha256: row.sha256 };
}

/**
 * @param {URL} root @param {string} path @param {Promise<Row>} expected
 * @param {RequestCache} cache @param {OnBytes} onBytes @param {OnResponse} [onResponse]
 */
async function attempt(root, path, expected, cache, onBytes, onResponse) {
  let counted = 0;
  /** @type {OnBytes} */
  const count = (bytes) => {
    counted += bytes;
    onBytes(bytes);
  };
  try {
    const url = new URL(path, root);
    const { data, type } = await download(url, path, cache, count, onResponse);
    const [row, sha256] = await Promise.all([expected, hash(data)]);
    if (sha256 !== row.sha256) throw mismatch(path, data, sha256, row, type);
    if (path.endsWith(".mjs") && !SCRIPT_TYPES.test(type)) throw wrongType(path, type);
    return { data, type };
  } catch (error) {
    await expected; // without a manifest there is no second attempt
    onBytes(-counted); // what was counted did not help
    throw error;
  }
}

/**
 * @param {URL} url @param {string} path @param {RequestCache} cache @param {OnBytes} onBytes
 * @param {OnResponse} [onResponse]
 * @returns {Promise<{data: Uint8Array<ArrayBuffer>, type: string}>}
 */
async function download(url, path, cache, onBytes, onResponse) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    const response = await fetch(url, { cache, signal: silence.signal });
    if (!response.ok || !response.body) throw unanswered(path, response.status);
    onResponse?.(response.clone());
    const reader = response.body.getReader();
    const chunks = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      chunks.push(value);
      onBytes(value.byteLength);
    }
    return { data: joined(chunks), type: response.headers.get("content-type") ?? "" };
  } catch (error) {
    if (error instanceof Failure) throw error;
    const why = silence.signal.aborted ? `nothing came for ${SILENCE / 1000} s` : "connection lost";
    throw new Failure(
      "DownloadError",
      `${path} could not be fetched: ${why}`,
      "check the connection, then try again",
    );
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Uint8Array<ArrayBuffer>} data @returns {Promise<string>} sha256 in hexadecimal */
async function hash(data) {
  if (!globalThis.crypto?.subtle) {
    throw new Failure(
      "InsecureAddressError",
      "this address is not secure, so the browser withholds what checks the files",
      "open the page over https, or as http://localhost",
    );
  }
  return digest(data);
}

/** @param {string} path */
function unnamed(path) {
  return new Failure("IntegrityError", `manifest.json does not name ${path}`, REBUILD);
}

const REMEDIES = /** @type {Record<number, string>} */ ({
  404: "the copy on the server is incomplete: rebuild dist/",
  504: "the browser has removed what Offcut had kept: open the page once with a connection",
});

/** @param {string} path @param {number} status */
function unanswered(path, status) {
  return new Failure(
    "DownloadError",
    `${path} could not be fetched: the server answers ${status}`,
    REMEDIES[status] ?? "try again later",
  );
}

/**
 * @param {string} path @param {Uint8Array} data @param {string} sha256 @param {Row} row
 * @param {string} type
 */
function mismatch(path, data, sha256, row, type) {
  const page = /text\/html/i.test(type) ? "; the server sent a web page in its place" : "";
  return new Failure(
    "IntegrityError",
    `${path} is damaged: its sha256 is ${sha256.slice(0, 12)}… (${data.byteLength} bytes), ` +
      `manifest.json says ${row.sha256.slice(0, 12)}… (${row.bytes} bytes)${page}`,
    REBUILD,
  );
}

/** @param {string} path @param {string} type */
function wrongType(path, type) {
  return new Failure(
    "IntegrityError",
    `${path} is sent as ${type || "no type"}, so the browser will not run it`,
    "set the server to send .mjs files as text/javascript",
  );
}
