// The files kept in the browser, addressed by what is in them; for the worker and the service worker.
//
// Cache API, one cache per place that Offcut is served from. The key of an entry is the sha256 of
// its bytes, so that versions cannot mix and no entry ever changes. An entry is hashed each time it
// is read: one that is damaged is removed, and the file is fetched again. Where there is no cache,
// or no room, files are simply not kept. Nothing about a photo ever comes here.

/** @typedef {{sha256: string, bytes: number}} Row */
/** @typedef {{data: Uint8Array<ArrayBuffer>, type: string}} Kept type: as the server named it */

/** @param {URL} root the bundle's address @returns {string} */
export const cacheName = (root) => `offcut:${root.pathname}`;

/** @param {URL} root @param {string} sha256 @returns {string} an address that no server answers */
const keyOf = (root, sha256) => new URL(`.kept/${sha256}`, root).href;

/**
 * @param {URL} root @param {Row} row
 * @returns {Promise<Kept | null>} verified; null: not kept
 */
export async function find(root, row) {
  try {
    const cache = await caches.open(cacheName(root));
    const entry = await cache.match(keyOf(root, row.sha256));
    if (!entry) return null;
    const data = new Uint8Array(await entry.arrayBuffer());
    if ((await digest(data)) === row.sha256) {
      return { data, type: entry.headers.get("content-type") ?? "" };
    }
    await cache.delete(keyOf(root, row.sha256));
  } catch {
    // No Cache API, as in some private windows and at insecure addresses; or it cannot be read.
  }
  return null;
}

/** @param {URL} root @returns {Promise<boolean>} nothing was ever kept, or nothing can be */
export async function isEmpty(root) {
  try {
    return !(await caches.has(cacheName(root)));
  } catch {
    return true;
  }
}

/** @param {URL} root @param {Row} row @returns {Promise<boolean>} it is kept; not whether it is whole */
export async function has(root, row) {
  try {
    const cache = await caches.open(cacheName(root));
    return Boolean(await cache.match(keyOf(root, row.sha256)));
  } catch {
    return false;
  }
}

/**
 * Keep verified bytes. A cache that refuses leaves no part of them behind.
 * @param {URL} root @param {Row} row @param {Uint8Array<ArrayBuffer>} data @param {string} type
 * @returns {Promise<string>} why they are not kept, "" when they are
 */
export async function keep(root, row, data, type) {
  try {
    const cache = await caches.open(cacheName(root));
    const headers = { "Content-Type": type, "Content-Length": String(data.byteLength) };
    await cache.put(keyOf(root, row.sha256), new Response(data, { headers }));
    return "";
  } catch (error) {
    const full = error instanceof DOMException && error.name === "QuotaExceededError";
    return full ? "the browser has no room for them" : "this window keeps no files";
  }
}

/** Remove what no row of `rows` names. @param {URL} root @param {Row[]} rows */
export async function tidy(root, rows) {
  const cache = await caches.open(cacheName(root));
  const wanted = new Set(rows.map(({ sha256 }) => keyOf(root, sha256)));
  const keys = await cache.keys();
  await Promise.all(keys.filter(({ url }) => !wanted.has(url)).map((key) => cache.delete(key)));
}

/** @param {Uint8Array<ArrayBuffer>} data @returns {Promise<string>} sha256 in hexadecimal */
export async function digest(data) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
