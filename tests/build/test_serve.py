"""The local server answers as a good static host does, and never leaves its folder."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from offcut import serve
from offcut.errors import OffcutError
from tests.build.conftest import ROOT, write

BODY = bytes(range(256)) * 300  # 76,800 bytes: more than one chunk


@pytest.fixture
def site(tmp_path: Path) -> Iterator[serve.Server]:
    folder = tmp_path / "dist"
    write(folder / "index.html", b"<!doctype html>")
    write(folder / "data.bin", BODY)
    write(folder / "empty.bin", b"")
    write(folder / "sub dir" / "index.html", b"sub")
    write(folder / "bare" / "x.txt", b"x")
    write(folder / "_headers", (ROOT / "static" / "_headers").read_bytes())
    write(tmp_path / "secret.txt", b"secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with serve.start(folder) as server:
        yield server


def ask(
    site: serve.Server, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send exactly this path: clients that tidy it up would hide what is tested."""
    connection = http.client.HTTPConnection("127.0.0.1", site.http.server_address[1], timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_a_file_comes_with_length_tag_and_the_hosts_headers(site: serve.Server) -> None:
    status, headers, body = ask(site, "/data.bin")

    assert (status, body) == (200, BODY)
    assert headers["Content-Length"] == str(len(BODY))
    assert headers["ETag"].startswith('"') and headers["Accept-Ranges"] == "bytes"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]


def test_S7_the_policy_forbids_everything_not_named_and_any_frame(site: serve.Server) -> None:
    policy = ask(site, "/")[1]["Content-Security-Policy"]

    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy and "connect-src 'self'" in policy
    assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
    assert "http" not in policy and "*" not in policy


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.whl", "application/octet-stream"),
        ("a.safetensors", "application/octet-stream"),
        ("a.json", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_types_are_those_browsers_insist_on(tmp_path: Path, name: str, kind: str) -> None:
    write(tmp_path / name, b"x")
    with serve.start(tmp_path) as site:
        assert ask(site, f"/{name}")[1]["Content-Type"] == kind


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=76000-", 76000, 76799),
        ("bytes=76000-99999999", 76000, 76799),
        ("bytes=-10", 76790, 76799),
        ("bytes=-99999999", 0, 76799),
    ],
)
def test_L6_a_range_gives_exactly_those_bytes(
    site: serve.Server, wanted: str, first: int, last: int
) -> None:
    status, headers, body = ask(site, "/data.bin", {"Range": wanted})

    assert (status, body) == (206, BODY[first : last + 1])
    assert headers["Content-Range"] == f"bytes {first}-{last}/{len(BODY)}"
    assert headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("wanted", ["bytes=76800-", "bytes=99999-100000", "bytes=-0"])
def test_L6_a_range_outside_the_file_is_416(site: serve.Server, wanted: str) -> None:
    status, headers, _ = ask(site, "/data.bin", {"Range": wanted})

    assert status == 416
    assert headers["Content-Range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize(
    "wanted", ["bytes=-", "bytes=9-3", "bytes=0-1,4-5", "lines=1-2", f"bytes={'9' * 6000}-"]
)
def test_a_range_that_makes_no_sense_gives_the_whole_file(site: serve.Server, wanted: str) -> None:
    status, _, body = ask(site, "/data.bin", {"Range": wanted})

    assert (status, body) == (200, BODY)


def test_L6_if_range_gives_a_part_only_of_the_same_file(site: serve.Server) -> None:
    tag = ask(site, "/data.bin")[1]["ETag"]

    same = ask(site, "/data.bin", {"Range": "bytes=10-19", "If-Range": tag})
    other = ask(site, "/data.bin", {"Range": "bytes=10-19", "If-Range": '"other"'})

    assert (same[0], same[2]) == (206, BODY[10:20])
    assert (other[0], other[2]) == (200, BODY)


def test_the_tag_follows_the_content_and_saves_the_second_transfer(site: serve.Server) -> None:
    path = site.http.RequestHandlerClass.site.root / "data.bin"  # type: ignore[attr-defined]
    tag = ask(site, "/data.bin")[1]["ETag"]

    unchanged = ask(site, "/data.bin", {"If-None-Match": f'"x", {tag}'})
    path.write_bytes(BODY[::-1])
    changed = ask(site, "/data.bin", {"If-None-Match": tag})

    assert (unchanged[0], unchanged[2], unchanged[1]["ETag"]) == (304, b"", tag)
    assert (changed[0], changed[2]) == (200, BODY[::-1])


def test_head_has_the_headers_without_the_body(site: serve.Server) -> None:
    status, headers, body = ask(site, "/data.bin", method="HEAD")

    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(BODY)))


def test_an_empty_file_is_served(site: serve.Server) -> None:
    status, headers, body = ask(site, "/empty.bin")

    assert (status, body, headers["Content-Length"]) == (200, b"", "0")


def test_a_folder_gives_its_index_and_is_redirected_to_its_slash(site: serve.Server) -> None:
    assert ask(site, "/")[2] == b"<!doctype html>"
    assert ask(site, "/sub%20dir/")[2] == b"sub"

    status, headers, _ = ask(site, "/sub%20dir")

    assert (status, headers["Location"]) == (301, "/sub%20dir/")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub%20dir/../../secret.txt",
        "//../secret.txt",
        "/..%5csecret.txt",
        "/link.txt",
        "/data.bin%00.txt",
        "/data.bin/",
        "/bare/",
        "/_headers",
        "/nothing.js",
        "//evil.example/",
    ],
)
def test_nothing_outside_the_folder_is_served(site: serve.Server, path: str) -> None:
    status, headers, body = ask(site, path)

    assert status in (400, 404)
    assert b"secret" not in body
    assert headers["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading_is_answered(site: serve.Server, method: str) -> None:
    assert ask(site, "/data.bin", method=method)[0] == 501


def test_several_requests_share_one_connection(site: serve.Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.http.server_address[1], timeout=10)
    bodies = []
    for path in ("/data.bin", "/nothing", "/data.bin"):
        connection.request("GET", path)
        bodies.append(connection.getresponse().read())
    connection.close()

    assert bodies == [BODY, b"404 Not Found\n", BODY]


def test_requests_are_told_to_who_asks(tmp_path: Path) -> None:
    write(tmp_path / "index.html", b"x")
    seen: list[tuple[str, str]] = []
    with serve.start(tmp_path, on_request=lambda method, path: seen.append((method, path))) as site:
        ask(site, "/?a=1")

    assert seen == [("GET", "/?a=1")]


def test_a_taken_port_is_an_error_or_the_next_is_tried(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OffcutError, match=f"port {port}: .*in use") as caught:
            serve.start(tmp_path, port)
        with serve.start(tmp_path, port, tries=20) as site:
            assert site.http.server_address[1] > port

    assert "--port" in caught.value.remedy


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OffcutError, match="no such folder"):
        serve.start(tmp_path / "dist")


def test_headers_of_all_matching_rules_are_sent_and_joined() -> None:
    rules = serve.header_rules("# why\n/*\n  A: 1\n  B: x: y\n\n/sub/*.js\n  A: 2\n")

    assert serve.headers_for(rules, "/a.html") == {"A": "1", "B": "x: y"}
    assert serve.headers_for(rules, "/sub/a.js") == {"A": "1, 2", "B": "x: y"}
    assert serve.headers_for(rules, "/sub/axjs") == {"A": "1", "B": "x: y"}
