// Tries every way that a page and its worker have of sending a request to the origin after "#".
//
// Each way asks for <origin>/hit/<name>. The page's navigation comes last, since it ends the page.

import { startConfined } from "./confined_worker.js";

const target = location.hash.slice(1);
const hit = (/** @type {string} */ name) => `${target}/hit/${name}`;
const anyGlobal = /** @type {any} */ (globalThis);

/** Add an element whose attributes name the address. */
const element = (/** @type {string} */ tag, /** @type {Record<string, string>} */ attributes) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  (document.body ?? document.documentElement).append(made);
  return made;
};
const link = (/** @type {string} */ rel, /** @type {string} */ href, more = {}) =>
  element("link", { rel, href, ...more });

/** @type {Record<string, (url: string) => unknown>} */
const WAYS = {
  fetch: (url) => fetch(url, { mode: "no-cors" }),
  "fetch-post": (url) => fetch(url, { mode: "no-cors", method: "POST", body: "pixels" }),
  keepalive: (url) => fetch(url, { mode: "no-cors", keepalive: true }),
  "fetch-later": (url) => anyGlobal.fetchLater(url, { activateAfter: 0 }),
  xhr: (url) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.send();
  },
  beacon: (url) => navigator.sendBeacon(url, "pixels"),
  websocket: (url) => new WebSocket(url.replace("http", "ws")),
  eventsource: (url) => new EventSource(url),
  webtransport: (url) => new anyGlobal.WebTransport(url.replace("http", "https")),
  img: (url) => element("img", { src: url }),
  srcset: (url) => element("img", { srcset: `${url} 2x` }),
  "svg-image": (url) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const image = document.createElementNS("http://www.w3.org/2000/svg", "image");
    image.setAttribute("href", url);
    svg.append(image);
    document.documentElement.append(svg);
  },
  "css-background": (url) => {
    const box = element("div", {});
    box.style.cssText = `width: 9px; height: 9px; background: url("${url}")`;
  },
  "css-rule": (url) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`html { border-image: url("${url}") 1 }`);
    document.adoptedStyleSheets = [sheet];
  },
  stylesheet: (url) => link("stylesheet", url),
  font: (url) => new FontFace("x", `url("${url}")`).load(),
  script: (url) => element("script", { src: url }),
  "module-script": (url) => element("script", { src: url, type: "module" }),
  import: (url) => import(url),
  "shared-worker": (url) => new SharedWorker(url),
  worker: (url) => new Worker(url),
  iframe: (url) => element("iframe", { src: url }),
  object: (url) => element("object", { data: url }),
  embed: (url) => element("embed", { src: url }),
  video: (url) => element("video", { src: url, preload: "auto" }),
  audio: (url) => element("audio", { src: url, preload: "auto" }),
  poster: (url) => element("video", { poster: url }),
  prefetch: (url) => link("prefetch", url),
  preload: (url) => link("preload", url, { as: "image" }),
  modulepreload: (url) => link("modulepreload", url),
  manifest: (url) => link("manifest", url, { crossorigin: "anonymous" }),
  icon: (url) => link("icon", url),
  "speculation-rules": (url) => {
    const rules = { prefetch: [{ source: "list", urls: [url] }] };
    element("script", { type: "speculationrules" }).textContent = JSON.stringify(rules);
  },
  ping: (url) => {
    const anchor = /** @type {HTMLAnchorElement} */ (element("a", { href: "#", ping: url }));
    anchor.click();
  },
  form: (url) => {
    const frame = element("iframe", { name: "into" });
    const form = element("form", { action: url, target: "into", method: "post" });
    /** @type {HTMLFormElement} */ (form).submit();
    return frame;
  },
  rtc: async (url) => {
    const { hostname, port } = new URL(url);
    const peer = new RTCPeerConnection({ iceServers: [{ urls: `stun:${hostname}:${port}` }] });
    peer.createDataChannel("pixels");
    await peer.setLocalDescription(await peer.createOffer());
  },
  preconnect: (url) => link("preconnect", new URL(url).origin),
  popup: (url) => window.open(url),
};

const worker = startConfined("leak_worker.js", "leak");
worker.postMessage(target);
const done = new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
for (const [name, attempt] of Object.entries(WAYS)) {
  try {
    Promise.resolve(attempt(hit(`page-${name}`))).catch(() => {});
  } catch {
    // This engine lacks it, or the policy forbids it at once.
  }
}
await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 3000))]);
await new Promise((resolve) => setTimeout(resolve, 1500));
document.documentElement.dataset.state = "done";
location.href = hit("page-navigation");
