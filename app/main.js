// The page: DOM only. The work is done in the worker; see bridge.js for how they talk.
//
// <html> carries the state that style sheets and tests read: docs/embedding.md lists it.

import { closeWaysOut } from "./confinement.js";
import { Engine } from "./engine.js";
import { Evidence } from "./evidence.js";
import { watchIntake } from "./intake.js";
import { watchLevels } from "./levels.js";
import { Models, isModel } from "./models.js";
import { Offline } from "./offline.js";
import { Photos } from "./photos.js";
import { watchProof } from "./proof.js";
import { recover } from "./recover.js";
import { describeBoot, describeModel } from "./stages.js";
import { showStrip } from "./strip.js";
import { announce, forgetPhoto, keepFocus, showBoot, showFailure, showPhoto, showStatus } from "./view.js";
import { rehearse, showModel } from "./view.js";

/** @typedef {import("./failure.js").Failure} Failure */
/** @typedef {import("./engine.js").Info} Info */

const root = document.documentElement;
root.dataset.script = "running"; // tells the style sheet that no script is missing
closeWaysOut();

/** What is known besides the photos. */
const known = {
  info: /** @type {Info | null} */ (null), // null while loading
  boot: "Loading Offcut", // what loading does just now
  failure: /** @type {Failure | null} */ (null), // it did not load
  mishap: /** @type {Failure | null} */ (null), // a drop or a sample that led to no photo
};

/** Failures that come again however often one tries. */
const FINAL = new Set(["ImageError", "BackendError", "UnknownModelError"]);
FINAL.add("ModelFormatError").add("UnsupportedOperatorError").add("UpdateError");

/** Failures that a broken service worker may cause. */
const LOADING = new Set(["DownloadError", "IntegrityError", "WorkerError"]);

const REST = 300; // milliseconds after which a page that is ready has drawn itself
const PATIENCE = 3_000; // milliseconds that an engine which is ready waits for the page's files

const query = new URLSearchParams(location.search);
const choice = {
  backend: query.get("backend") ?? "",
  threads: query.get("threads") ?? "",
  model: query.get("model") ?? "",
};

const evidence = new Evidence(new URL("./", import.meta.url), showEvidence);
const drawProof = watchProof(evidence);
const offline = new Offline(() => {
  /** @type {HTMLElement} */ (document.querySelector(".update")).hidden = false;
});
/** The page's own files are kept and hashed. @type {Promise<unknown>} */
let settled = offline.fetched;

const engine = new Engine(choice, {
  onBoot(progress) {
    if (progress.stage === "files") known.info = null;
    if (progress.stage === "python") {
      offline.keep();
      settled = Promise.all([offline.fetched, evidence.hashPage((urls) => offline.hashes(urls))]);
    }
    known.boot = describeBoot(progress).text;
    showBoot(progress);
    show();
  },
  async onReady(info) {
    await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    known.info = info;
    drawLevels(info);
    evidence.ready();
    show();
    setTimeout(rehearse, REST);
  },
  async onFailure(failure) {
    if (LOADING.has(failure.type) && (await recover())) return;
    known.failure = failure;
    show();
  },
  onWorker: (worker) => evidence.follow(worker),
});

const photos = new Photos(engine, show);
const models = new Models(engine, show, showMishap);
const drawLevels = watchLevels((name) => {
  known.mishap = null;
  models.choose(name);
});

/** @param {Failure} mishap */
function showMishap(mishap) {
  known.mishap = mishap;
  show();
}

function show() {
  const photo = photos.selected;
  const focused = document.activeElement;
  const failure = known.failure ?? known.mishap ?? photo?.failure ?? null;
  root.dataset.state = stateOf(failure);
  if (photos.fresh) return; // it is drawn in a moment
  root.dataset.view = photos.list.some(({ state }) => state !== "error") ? "photo" : "empty";
  const last = lastCutout();
  if (known.info) showStatus(last ? { ...known.info, threads: last.threads } : known.info, last);
  showModel(models.work && describeModel(models.work));
  showFailure(failure, {
    retry: !FINAL.has(failure?.type ?? ""),
    automatic: Boolean(location.search) && failure === known.failure,
  });
  const bench = /** @type {HTMLElement} */ (document.querySelector(".bench"));
  bench.hidden = root.dataset.view === "empty";
  if (photo) showPhoto(photo, waitingFor());
  else forgetPhoto();
  const strip = /** @type {HTMLElement} */ (document.querySelector(".strip"));
  showStrip(strip, photos.list, photo, (other) => photos.select(other));
  announce(words(failure));
  keepFocus(focused);
}

/** @param {Failure | null} failure */
function stateOf(failure) {
  if (known.failure) return "error";
  if (!known.info) return "booting";
  if (models.work) return "working";
  if (photos.list.some(({ state }) => state === "queued" || state === "working")) return "working";
  if (failure) return "error";
  return photos.selected ? "done" : "ready";
}

function waitingFor() {
  if (known.failure) return "Offcut did not load.";
  if (!known.info) return `${known.boot}. Your photo is next.`;
  if (models.work) return `${describeModel(models.work).text}. Your photo is next.`;
  return "Waiting for the photos before it.";
}

function lastCutout() {
  return photos.selected?.cutout ?? photos.list.findLast((photo) => photo.cutout)?.cutout ?? null;
}

/** @param {Failure | null} failure */
function words(failure) {
  if (failure) return ""; // the failure is an alert of its own
  const photo = photos.selected;
  if (root.dataset.state === "ready") return "Ready";
  if (photo?.state === "working") return `Working on ${photo.file.name}`;
  if (photo?.cutout) return `${photo.cutout.name} is done`;
  return "";
}

function showEvidence() {
  const { before, kept } = evidence;
  if (before !== null && kept !== null) {
    offline.fetched.then((saved) => {
      root.dataset.offline = saved && !kept ? "saved" : "unavailable";
    });
  }
  drawProof?.();
}

/** Settles when the first photo comes. @type {() => void} */
let hurry = () => {};
const hurried = /** @type {Promise<void>} */ (
  new Promise((resolve) => {
    hurry = resolve;
  })
);

watchIntake(
  (files) => {
    hurry();
    known.mishap = null;
    const brought = files.filter(isModel);
    if (brought.length) models.use(brought); // before the photos that came with it
    photos.add(files.filter((file) => !isModel(file)));
  },
  showMishap,
);

document.querySelector(".update-now")?.addEventListener("click", () => offline.update());
document.querySelector(".cancel")?.addEventListener("click", () => photos.cancel());
document.querySelector(".clear")?.addEventListener("click", () => photos.clear());
document.querySelector(".retry")?.addEventListener("click", () => {
  known.mishap = null;
  if (known.failure) {
    known.failure = null;
    engine.start();
  } else if (photos.selected) {
    photos.retry(photos.selected);
  }
  show();
});

// Firefox and Safari keep a closed page's WebAssembly memory for a while; ending the worker frees it.
addEventListener("pagehide", (event) => {
  if (!event.persisted) engine.stop();
});

show();
if (!(await offline.isolate(hurried))) engine.start();
