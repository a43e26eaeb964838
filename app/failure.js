// The page's one error type: what and where in `message`, what the user can do in `remedy`.

/** @typedef {{type: string, message: string, remedy: string}} Report A failure as plain data. */

/** An error that the page can show; `type` is a name from offcut.errors or one of ours. */
export class Failure extends Error {
  /** False when it ended a call to the worker that had not begun. */
  began = true;

  /**
   * @param {string} type
   * @param {string} message
   * @param {string} [remedy]
   */
  constructor(type, message, remedy = "") {
    super(message);
    this.name = type;
    this.type = type;
    this.remedy = remedy;
  }

  /** @returns {Report} */
  report() {
    return { type: this.type, message: this.message, remedy: this.remedy };
  }

  /** @param {Report} report @returns {Failure} */
  static from({ type, message, remedy }) {
    return new Failure(type, message, remedy);
  }

  /** Make a Failure of whatever was thrown. @param {unknown} thrown @param {string} doing */
  static of(thrown, doing) {
    if (thrown instanceof Failure) return thrown;
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    return new Failure("UnexpectedError", `${doing}: ${text}`, "reload the page and try again");
  }
}
