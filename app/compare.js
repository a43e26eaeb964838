// The compare slider: drag anywhere on the picture, or use the keyboard.
//
// A range input carries the value, the keyboard and what screen readers say. Pointers are handled
// here, because Safari on iOS moves a range input by its thumb only.

/** @param {HTMLElement} frame holds the range input and both pictures */
export function watchComparison(frame) {
  const range = /** @type {HTMLInputElement} */ (frame.querySelector(".split"));
  const show = () => {
    frame.style.setProperty("--split", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} percent photo`);
  };
  /** @param {PointerEvent} event */
  const follow = (event) => {
    const { left, width } = frame.getBoundingClientRect();
    range.value = String(Math.round(((event.clientX - left) / width) * 100));
    show();
  };
  frame.addEventListener("pointerdown", (event) => {
    if (range.disabled || event.button !== 0) return;
    frame.setPointerCapture(event.pointerId);
    range.focus({ preventScroll: true });
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (frame.hasPointerCapture(event.pointerId)) follow(event);
  });
  range.addEventListener("input", show);
  show();
  return {
    /** Compare from the middle, or show the photo alone. @param {boolean} ready */
    reset(ready) {
      range.disabled = !ready;
      range.value = ready ? "50" : "100";
      show();
    },
  };
}
