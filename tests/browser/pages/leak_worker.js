// Tries every way that a worker has of sending a request; see leak.js.

const scope = /** @type {any} */ (globalThis);

/** @type {Record<string, (url: string) => unknown>} */
const WAYS = {
  fetch: (url) => fetch(url, { mode: "no-cors" }),
  "fetch-post": (url) => fetch(url, { mode: "no-cors", method: "POST", body: "pixels" }),
  xhr: (url) => {
    const request = new XMLHttpRequest();
    request.open("GET", url, false);
    request.send();
  },
  websocket: (url) => new WebSocket(url.replace("http", "ws")),
  eventsource: (url) => new EventSource(url),
  webtransport: (url) => new scope.WebTransport(url.replace("http", "https")),
  import: (url) => import(url),
  worker: (url) => new Worker(url),
  font: (url) => new FontFace("x", `url("${url}")`).load(),
};

scope.onmessage = async (/** @type {MessageEvent} */ { data }) => {
  const attempts = Object.entries(WAYS).map(async ([name, attempt]) => {
    await attempt(`${data}/hit/worker-${name}`);
  });
  await Promise.race([
    Promise.allSettled(attempts),
    new Promise((resolve) => setTimeout(resolve, 1500)),
  ]);
  scope.postMessage("done");
};
