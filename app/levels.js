// The panel where a model is chosen: each level's size, and what was measured that it loses.

/** @typedef {import("./engine.js").Info} Info */
/** @typedef {import("./engine.js").Level} Level */

/** @template {HTMLElement} [T=HTMLElement] @param {string} selector @returns {T} */
const one = (selector) => /** @type {T} */ (document.querySelector(selector));

/** @param {(name: string) => void} choose @returns {(info: Info) => void} draws what can be chosen */
export function watchLevels(choose) {
  const dialog = /** @type {HTMLDialogElement} */ (one("dialog.levels"));
  one(".levels-open").addEventListener("click", () => dialog.showModal());
  one(".levels-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the panel
  });
  return (info) => {
    one(".levels-open").hidden = info.levels.length < 2;
    const items = info.levels.map((level) => itemOf(level, level.name === info.model, () => {
      dialog.close();
      if (level.name !== info.model) choose(level.name);
    }));
    one(".levels-list").replaceChildren(...items);
  };
}

/** @param {Level} level @param {boolean} current @param {() => void} onClick */
function itemOf(level, current, onClick) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "level";
  button.dataset.level = level.name;
  button.setAttribute("aria-pressed", String(current));
  button.append(
    line("level-name", level.name),
    line("level-size", megabytes(level.bytes)),
    line("level-words", inWords(level)),
    line("level-figures", figures(level)),
  );
  button.addEventListener("click", onClick);
  item.append(button);
  if (level.card) {
    const link = document.createElement("a");
    link.href = level.card;
    link.textContent = "Model card";
    link.setAttribute("aria-label", `Model card of ${level.name}`);
    item.append(link);
  }
  return item;
}

/** @param {Level} level */
function inWords({ quality }) {
  if (!quality) return "Its loss has not been measured.";
  const same = (quality.iou * 100).toFixed(1);
  return `Cutouts cover ${same} % of the same area as those of the original network.`;
}

/** @param {Level} level */
function figures({ quality }) {
  if (!quality) return "";
  const { mae, iou, worst_iou: worst, photos } = quality;
  const measured = `mean difference ${mae.toFixed(4)}, IoU ${iou.toFixed(3)}`;
  return `${measured}, worst photo ${worst.toFixed(3)}; ${photos} photos`;
}

/** @param {string} className @param {string} text */
function line(className, text) {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = text;
  return span;
}

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
