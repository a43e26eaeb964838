// Mends a page whose service worker is broken: drops it and reloads, once.
//
// It depends on no other script, since a broken service worker may hold back any of them. The
// address's ?nosw drops it at once, for good measure with all that is kept.

const PATIENCE = 6_000; // milliseconds in which the page's own script must have started
const KEY = "offcut-reload"; // sessionStorage: why this tab was reloaded without being asked

/** Whether the address asks to do without a service worker. */
export const unwanted = new URLSearchParams(location.search).has("nosw");

/** @returns {string} why this tab was reloaded: "", "broken" or "isolate" */
export function reloadedFor() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** Reload unless this tab was reloaded before. @param {"broken" | "isolate"} why @returns {boolean} */
export function reloadOnce(why) {
  try {
    if (sessionStorage.getItem(KEY)) return false;
    sessionStorage.setItem(KEY, why);
  } catch {
    return false; // without a memory one reload could become a thousand
  }
  location.reload();
  return true;
}

/** Drop the service worker and what is kept. @returns {Promise<boolean>} there was one */
export async function drop() {
  const root = new URL("./", import.meta.url);
  const all = (await navigator.serviceWorker?.getRegistrations?.()) ?? [];
  const ours = all.filter(({ scope }) => scope === root.href);
  await Promise.all(ours.map((registration) => registration.unregister()));
  if ("caches" in globalThis) await caches.delete(`offcut:${root.pathname}`).catch(() => false);
  return ours.length > 0;
}

/**
 * Drop a service worker that may be what holds the page back, if the server can do without it.
 * @returns {Promise<boolean>} the page is being reloaded
 */
export async function recover() {
  if (!navigator.serviceWorker?.controller || reloadedFor()) return false;
  try {
    await fetch(new URL("sw.js", import.meta.url), { cache: "no-store" }); // whatever it answers
  } catch {
    return false; // no network: what is kept is all there is
  }
  await drop();
  return reloadOnce("broken");
}

if (unwanted) {
  await drop();
} else if (navigator.serviceWorker?.controller) {
  setTimeout(() => {
    if (document.documentElement.dataset.script !== "running") recover();
  }, PATIENCE);
}
