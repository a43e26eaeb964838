// The panel "Check it yourself": what the page has asked for, its policy, its files.

/** @typedef {import("./evidence.js").Evidence} Evidence */

/** @template {HTMLElement} [T=HTMLElement] @param {string} selector @returns {T} */
const one = (selector) => /** @type {T} */ (document.querySelector(selector));

const KEPT = "Everything is on this device. Offcut starts without a network.";
const LOADED = "This page needs no network any more. It is not kept for the next visit";
const LOADING = "Offcut is still loading.";

/** @param {Evidence} evidence @returns {() => void} draws it anew, when it is open */
export function watchProof(evidence) {
  const dialog = /** @type {HTMLDialogElement} */ (one("dialog.proof"));
  const draw = () => {
    if (dialog.open) show(evidence);
  };
  one(".proof-open").addEventListener("click", () => {
    dialog.showModal();
    draw();
  });
  one(".proof-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the panel
  });
  return draw;
}

/** @param {Evidence} evidence */
function show(evidence) {
  const { before, since, elsewhere, files, kept, requests } = evidence;
  one(".proof-since").textContent = before === null ? "…" : String(since.length);
  one(".proof-before").textContent = String(before ?? requests.length);
  one(".proof-elsewhere").textContent = String(elsewhere.length);
  one(".proof-site").textContent = location.host;
  one(".proof-policy").textContent = policy().split("; ").join(";\n");
  one(".proof-offline").textContent = before === null ? LOADING : kept ? `${LOADED}: ${kept}.` : KEPT;
  const wrong = [...files.values()].filter(({ right }) => !right).length;
  one(".proof-checked").textContent = String(files.size);
  one(".proof-wrong").textContent = wrong ? `${wrong} differ from it.` : "All are as it says.";
  list(".proof-requests", [...new Set(requests)].map((url) => [url, ""]));
  const rows = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  list(".proof-files", rows.map(([path, file]) => [path, file.sha256, file.right ? "" : "wrong"]));
}

/** The policy as the browser was given it. */
function policy() {
  return document.querySelector("meta[http-equiv]")?.getAttribute("content") ?? "";
}

/** @param {string} selector @param {string[][]} rows name, detail and state of each item */
function list(selector, rows) {
  const items = rows.map(([name, detail, state = ""]) => {
    const item = document.createElement("li");
    const code = document.createElement("code");
    item.textContent = name;
    code.textContent = detail;
    item.dataset.file = state;
    item.append(code);
    return item;
  });
  one(selector).replaceChildren(...items);
}
