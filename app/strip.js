// The strip of photos below the stage, there from the second photo on.

/** @typedef {import("./photos.js").Photo} Photo */

const WORDS = { queued: "waiting", working: "at work", done: "done", error: "failed" };
/** @type {WeakMap<Photo, HTMLButtonElement>} */
const buttons = new WeakMap();

/**
 * @param {HTMLElement} strip @param {Photo[]} photos @param {Photo | null} selected
 * @param {(photo: Photo) => void} onSelect
 */
export function showStrip(strip, photos, selected, onSelect) {
  strip.hidden = photos.length < 2;
  const items = photos.map((photo) => {
    let button = buttons.get(photo);
    if (!button) {
      button = newButton();
      button.addEventListener("click", () => onSelect(photo));
      buttons.set(photo, button);
    }
    update(button, photo, photo === selected);
    return /** @type {HTMLElement} */ (button.parentElement);
  });
  const there = [...strip.children];
  if (items.length !== there.length || items.some((item, k) => item !== there[k])) {
    strip.replaceChildren(...items);
  }
}

function newButton() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "thumb";
  const image = document.createElement("img");
  image.alt = "";
  image.decoding = "async";
  image.loading = "lazy";
  button.append(image);
  document.createElement("li").append(button);
  return button;
}

/** @param {HTMLButtonElement} button @param {Photo} photo @param {boolean} current */
function update(button, photo, current) {
  const image = /** @type {HTMLImageElement} */ (button.firstElementChild);
  const url = photo.after || photo.before;
  if (image.getAttribute("src") !== url) image.src = url;
  button.dataset.photo = photo.state;
  button.setAttribute("aria-current", String(current));
  button.setAttribute("aria-label", `${photo.file.name}, ${WORDS[photo.state]}`);
}
