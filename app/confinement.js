// Proves that a worker is confined, and takes away its ways out that a policy does not govern.

import { Failure } from "./failure.js";

// The content security policy of the page governs the rest; WebRTC it cannot.
const WAYS_OUT = [
  "RTCPeerConnection",
  "webkitRTCPeerConnection",
  "RTCIceTransport",
  "WebTransport",
  "WebSocket",
  "WebSocketStream",
  "EventSource",
  "fetchLater",
];

/** Remove interfaces that nothing here uses. */
export function closeWaysOut() {
  for (const name of WAYS_OUT) Reflect.deleteProperty(globalThis, name);
}

/**
 * No pixel may enter a worker from which code of strangers could run. A policy that forbids eval
 * is one of ours: browsers allow it otherwise. Throws Failure.
 */
export function refuseUnlessConfined() {
  try {
    (0, eval)("1");
  } catch {
    return;
  }
  throw new Failure(
    "UnconfinedError",
    "the page's content security policy is not in force, so its promise of privacy cannot be kept",
    "serve dist/index.html as it was built",
  );
}
