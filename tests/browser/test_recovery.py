"""A worker that fails or hangs is replaced; the photo is kept, and the next one works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Route, Worker

from tests.browser.app import BOOT_SECONDS, App
from tests.faulty_site import Site, before, faulty_site, missing
from tests.record import record

POINTS = 20  # at which a worker is made to fail
CANCELS = 6
RELOADS = 30
SETTLED = 5  # reloads after which no memory may be added
MEGABYTES = 150  # that a browser's processes may differ from moment to moment
WORK_MILLISECONDS = 600  # about what a large photo takes
SMALL_MILLISECONDS = 200  # and a small one
SILENCE_MILLISECONDS = 31_000  # bridge.js gives a worker up after 30 s
CANCEL = """() => {
  const begin = performance.now();
  document.querySelector('.cancel').click();
  return [performance.now() - begin, document.documentElement.dataset.view === 'empty'];
}"""
NO_TIMERS = "() => { window.setTimeout = window.requestAnimationFrame = () => 0; }"

THROW = "() => void setTimeout(() => { throw new Error('out of luck') })"
# What ends a worker: an error, a promise that nobody caught, WebAssembly that stops.
TRAP = "[0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,5,1,3,0,0,11]"
ENDS = (
    THROW,
    "() => void setTimeout(() => Promise.reject(new Error('out of luck')))",
    "() => void setTimeout(() => new WebAssembly.Instance(new WebAssembly.Module("
    f"new Uint8Array({TRAP}))).exports.f())",
)
HANG = "() => void setTimeout(() => { for (const end = Date.now() + 20e3; Date.now() < end;); })"

# A kernel thread that serves as program.c's `serve` does, until a word is set in their memory.
UNUSED = 10  # a word of program.c's control block
FRAGILE_THREAD = f"""
const {{ instantiate }} = WebAssembly;
WebAssembly.instantiate = async (module, imports) => {{
  const {{ exports }} = await instantiate(module, imports);
  const words = new Int32Array(imports.env.memory.buffer);
  const serve = (base, ith, job) => {{
    for (let at = base / 4; ; ) {{
      Atomics.wait(words, at, job);
      job = Atomics.load(words, at);
      if (Atomics.load(words, at + {UNUSED})) %s;
      if (Atomics.load(words, at + 3)) return;
      if (ith < job %% 16) exports.run(base, ith);
    }}
  }};
  return {{ exports: {{ ...exports, serve }} }};
}};
"""
FRAGILE_KERNELS = f"""
const {{ Instance }} = WebAssembly;
const {{ postMessage }} = Worker.prototype;
let word = null;
let broken = false;
Worker.prototype.postMessage = function (message) {{
  if (message.memory) {{
    word = [new Int32Array(message.memory.buffer), message.base / 4 + {UNUSED}];
  }}
  return postMessage.call(this, message);
}};
WebAssembly.Instance = new Proxy(Instance, {{
  construct(target, [module, imports]) {{
    const {{ exports }} = new target(module, imports);
    const run = (...numbers) => {{
      if (broken) throw new WebAssembly.RuntimeError('unreachable');
      return exports.run(...numbers);
    }};
    return {{ exports: exports.announce ? {{ ...exports, run }} : exports }};
  }},
}});
self.lose = end => (end === 'a trap of the kernels' ? (broken = true) : Atomics.store(...word, 1));
self.lost = () => Number(broken) + Atomics.load(...word);
"""
LOST = {
    "a thread that ends": "return",
    "a thread that traps": "throw new WebAssembly.RuntimeError('unreachable')",
    "a trap of the kernels": "return",
}


@pytest.fixture(scope="module")
def app(chromium: Browser, site: str) -> Iterator[App]:
    """A page of its own, since its workers are damaged here."""
    context = chromium.new_context()
    made = App(context.new_page())
    made.page.goto(site)
    assert made.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", made.describe()
    yield made
    context.close()


def python_worker(app: App, former: Sequence[Worker] = ()) -> Worker:
    """Return the first worker that the page starts; kernel threads come after.

    former: workers that have failed, of whose end the browser may tell late.
    """
    return next(worker for worker in app.page.workers if worker not in former)


def break_worker(app: App, how: str = THROW, former: Sequence[Worker] = ()) -> None:
    """Let the worker fail, which the page may notice before the worker has answered here."""
    try:
        python_worker(app, former).evaluate(how)
    except Error as error:
        if "closed" not in str(error):
            raise


def workers_asked_for(site: Site) -> int:
    """Return how often the worker's script has been fetched."""
    return [path for path, _ in site.seen].count("worker.js")


def test_M2_worker_that_fails_at_work_is_replaced_and_the_photo_tried_again(
    app: App, samples: Path
) -> None:
    random = Random(5)
    for point in range(POINTS):
        app.choose(samples / "coffee.jpg")
        app.wait("working", "done", seconds=BOOT_SECONDS)
        app.page.wait_for_timeout(random.uniform(0, SMALL_MILLISECONDS))
        break_worker(app, ENDS[point % len(ENDS)])

        assert app.wait("done", "error", seconds=BOOT_SECONDS) == "done", app.describe()
        assert app.download().name == "coffee-offcut.png"
        app.start_over()
    record("faults: workers crashed at random points", POINTS)


def test_M2_photo_that_costs_a_second_worker_can_be_tried_again_by_hand(
    app: App, large_photo: Path
) -> None:
    former: list[Worker] = []
    app.choose(large_photo)
    for _ in range(2):
        app.wait_until(lambda: app.attribute("photo") == "working", "it is at work", BOOT_SECONDS)
        app.wait("working", seconds=BOOT_SECONDS)
        there = app.page.workers
        break_worker(app, former=former)
        former += there
        app.wait("booting", seconds=20)
    app.wait_until(lambda: "out of luck" in app.error, "the error is told", 20)
    app.wait("error", seconds=BOOT_SECONDS)

    app.page.get_by_role("button", name="Try again").click()

    assert app.wait("done", "error", seconds=BOOT_SECONDS) == "done", app.describe()
    assert app.download().name == "coffee-offcut.png"
    assert "recovery: after" in app.text(".notes")


def test_M3_worker_that_falls_silent_is_given_up_by_the_watchdog(
    context: BrowserContext, site: str, large_photo: Path
) -> None:
    app = App(context.new_page())
    app.page.clock.install()
    app.page.goto(site)
    app.wait("ready", seconds=BOOT_SECONDS)
    app.choose(large_photo)
    app.wait("working", seconds=5)
    python_worker(app).evaluate(HANG)

    app.page.clock.fast_forward(SILENCE_MILLISECONDS)

    app.wait("booting", seconds=20)  # with a new worker
    assert app.wait("done", "error", seconds=BOOT_SECONDS) == "done", app.describe()
    record("faults: workers fallen silent", 1)


def test_M7_kernel_thread_that_cannot_start_leaves_one_thread_and_the_same_result(
    context: BrowserContext, dist: Path, samples: Path, warm_page: App
) -> None:
    warm_page.start_over()
    expected = warm_page.cut_out(samples / "cat.jpg").data
    with faulty_site(dist) as site:
        site.faults["kernel_thread.js"] = missing
        app = App(context.new_page())
        app.page.goto(site.url)
        assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()

        assert app.attribute("threads") == "1"
        assert "threads cannot be started" in app.text(".notes")
        assert app.cut_out(samples / "cat.jpg").data == expected


@pytest.mark.parametrize("end", LOST)
def test_M7_kernels_that_stop_in_the_middle_of_a_photo_cost_the_worker_and_not_the_photo(
    context: BrowserContext, dist: Path, samples: Path, end: str
) -> None:
    with faulty_site(dist) as site:
        site.faults["worker.js"] = before(FRAGILE_KERNELS)
        site.faults["kernel_thread.js"] = before(FRAGILE_THREAD % LOST[end])
        app = App(context.new_page())
        app.page.goto(f"{site.url}?threads=2")
        assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
        expected = app.cut_out(samples / "cat.jpg").data
        app.start_over()
        python_worker(app).evaluate("end => lose(end)", end)
        asked = workers_asked_for(site)

        result = app.cut_out(samples / "cat.jpg")

        assert result.data == expected
        assert workers_asked_for(site) == asked + 1
        record(f"faults: kernels lost in the middle of a photo, {end}", 1)


def test_M2_worker_that_fails_while_idle_is_replaced_without_a_word(
    app: App, samples: Path
) -> None:
    app.start_over()
    break_worker(app)
    app.wait("booting", seconds=20)

    app.wait("ready", "error", seconds=BOOT_SECONDS)

    assert app.error == ""
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"


def test_M11_cancel_is_acknowledged_within_100_ms_at_any_moment(app: App, samples: Path) -> None:
    random = Random(11)
    for _ in range(CANCELS):
        app.start_over()
        app.choose(samples / "coffee.jpg")
        app.wait("working", seconds=BOOT_SECONDS)
        app.page.wait_for_timeout(random.uniform(0, WORK_MILLISECONDS))

        milliseconds, photo_is_gone = app.page.evaluate(CANCEL)

        assert milliseconds < 100
        assert photo_is_gone
    record("faults: cancels at random points", CANCELS)
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"


def test_M10_work_goes_on_where_the_page_has_neither_timers_nor_frames(
    app: App, samples: Path
) -> None:
    app.start_over()
    app.page.evaluate(NO_TIMERS)  # as in a tab that has long been hidden

    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"


def test_M14_reloads_leave_no_worker_behind(app: App) -> None:
    app.page.reload()
    app.wait("ready", seconds=BOOT_SECONDS)
    before = len(app.page.workers)
    memory = []
    for number in range(RELOADS):
        app.page.reload()
        if number in (SETTLED, RELOADS - 1):
            app.wait("ready", seconds=BOOT_SECONDS)
            memory.append(megabytes_of_renderers(app))

    assert len(app.page.workers) == before
    assert memory[1] <= memory[0] + MEGABYTES
    record("faults: reloads in a row", RELOADS)


def megabytes_of_renderers(app: App) -> float:
    """Return what the browser's pages take up; 0 where the system does not tell (Linux does)."""
    assert app.page.context.browser
    session = app.page.context.browser.new_browser_cdp_session()
    total = 0.0
    for process in session.send("SystemInfo.getProcessInfo")["processInfo"]:
        status = Path(f"/proc/{process['id']}/status")
        if process["type"] == "renderer" and status.exists():
            total += int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1e3
    session.detach()
    return total


def test_M11_cancel_replaces_a_worker_that_does_not_listen(
    app: App, samples: Path, large_photo: Path
) -> None:
    app.start_over()
    app.choose(large_photo, samples / "cat.jpg")
    app.wait("working")
    python_worker(app).evaluate(HANG)

    app.page.get_by_test_id("cancel").click()

    app.wait("booting", seconds=5)
    assert app.wait("done", "error", seconds=BOOT_SECONDS) == "done", app.describe()
    assert app.download().name == "cat-offcut.png"  # the photo behind it had not begun


def test_P9_photo_is_cut_out_with_the_network_unplugged(app: App, samples: Path) -> None:
    app.start_over()
    app.page.context.set_offline(True)
    try:
        assert app.cut_out(samples / "coffee.jpg").name == "coffee-offcut.png"
    finally:
        app.page.context.set_offline(False)


def test_M2_start_that_fails_without_a_named_cause_is_tried_once_more(
    chromium: Browser, site: str
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    damaged = 1  # answers: to the first worker
    seen = 0

    def answer(route: Route) -> None:
        nonlocal seen
        seen += 1
        response = route.fetch()
        trap = "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(3)));\n"
        first, middle, rest = response.text().partition("const witness")
        assert middle
        body = first + (trap if seen <= damaged else "") + middle + rest
        route.fulfill(response=response, body=body)

    page.route("**/worker.js", answer)
    app = App(page)
    page.goto(site)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    assert seen == damaged + 1
    context.close()
