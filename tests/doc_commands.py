"""The commands of a page, run or checked in the folder of made inputs that is the current one."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import redirect_stderr
from pathlib import Path

from tests.doc_pages import ROOT
from vidda import config
from vidda.cli import main
from vidda.command import COMMANDS, _sort, schema_of
from vidda.config import Config
from vidda.control.fetch_weights import FetchWeightsConfig
from vidda.errors import ViddaError

RUN = {
    *("prepare", "control", "evaluate", "report", "predict", "export", "randomize"),
    *("crop", "init", "help"),
}
"""Commands that are run; others are checked by --dry-run."""
TRAIN = {"train", "adapt"}
"""Run too, for one epoch, with a config that the page itself shows."""
QUICK = ["epochs=1", "device=cpu", "workers=0"]
NOT_FETCHED = re.compile(r"(error: )?.*(is not in this machine's cache: |cannot be downloaded \()")
"""A line about weights that are not on this machine, where nothing is fetched."""


class PageError(Exception):
    """A command or block that does not work as it is printed."""


def outputs_of(settings: Config) -> dict[str, Path]:
    """The folders and files that a command writes, by their keys."""
    found = {key: getattr(settings, key, None) for key in ("out", "run")}
    if isinstance(settings, FetchWeightsConfig):
        found["out"] = settings.folder
    for key in ("mini", "prepare"):  # of vidda run and sweep
        stage = getattr(settings, key, None) or {}
        found[f"{key}.out"] = Path(stage["out"]) if "out" in stage else None
    return {key: path for key, path in found.items() if path and not path.is_absolute()}


class Commands:
    """The commands of one page, in order.

    made: names of the made inputs, which are not written to. own: files that the page shows.
    """

    def __init__(self, made: set[str]) -> None:
        self.made = made
        self.own: set[str] = set()
        self.read: set[str] = set()
        self.unwritten: set[str] = set()
        self.packages: list[str] = []
        self._fresh = 0

    def run(self, line: str) -> None:
        """Run or check one line; raises PageError, or what the command raises."""
        words = shlex.split(line)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        self.read |= self.own & {word.rpartition("=")[2] for word in words}
        program, rest = words[0].removeprefix(".venv/bin/"), words[1:]
        if program in ("python", "python3") and rest[:2] == ["-m", "vidda.cli"]:
            program, rest = "vidda", rest[2:]
        if program == "vidda":
            self._vidda(rest)
        elif program in ("python", "python3") and rest[0].startswith("tools/"):
            self._tool(rest)
        elif program in ("python", "python3", "pytest"):
            command = (
                ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if program == "pytest" else []
            )
            self._process([sys.executable, *command, *rest])
        elif program == "bash" and rest[0].startswith("tools/"):
            self._script(rest)
        elif program == "sbatch":
            script = next(n for n, word in enumerate(rest) if not word.startswith("-"))
            self._script(rest[script : script + 1])
            self._vidda(["translate", *rest[script + 1 :], "--dry-run"])
        elif words[:2] == ["pip", "install"]:
            self._install(rest[1:])
        elif program == "cat" and len(rest) == 1:
            Path(rest[0]).read_text()
        else:
            raise PageError(f"the tests do not know the program {program!r}")

    def _vidda(self, words: list[str]) -> None:
        name, *arguments = [word.removesuffix("...") for word in words if word != "..."]
        shown = name == "help" or {"--help", "--help-all", "--version"} & {name, *arguments}
        if name not in COMMANDS or shown:
            self._call([name, *arguments])
            return
        file = next((word for word in arguments if word.endswith((".yaml", ".yml"))), "")
        trains = name in TRAIN and file in self.own
        if not (name in RUN or trains) and "--dry-run" not in arguments:
            arguments.append("--dry-run")
        arguments = [re.sub(r"device=cuda(:\d)?$", "device=cpu", one) for one in arguments]
        settings = self._settings(name, arguments)
        if settings and self._follows_unchecked(settings):
            self.unwritten |= set(map(str, outputs_of(settings).values()))
            return
        arguments += QUICK if trains else []
        arguments += self._new_output(settings, arguments) if settings else []
        self._call([name, *arguments])

    def _call(self, arguments: list[str]) -> None:
        """Run a command; raises PageError unless it works, or only lacks weights in a dry run."""
        if self.packages:  # known to a process from its start
            self._process([sys.executable, "-m", "vidda.cli", *arguments])
            return
        said = io.StringIO()
        with redirect_stderr(said):
            status = main(arguments)
        print(said.getvalue(), flush=True)
        problems = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
        lacks_weights = "--dry-run" in arguments and problems
        if status and not (lacks_weights and all(map(NOT_FETCHED.match, problems))):
            raise PageError(f"vidda {shlex.join(arguments)}: exit status {status}")

    def _settings(self, name: str, arguments: list[str]) -> Config | None:
        """The config of a command, or None: the command itself reports what is wrong with it."""
        try:
            _, file, overrides = _sort(COMMANDS[name], schema_of(name), arguments)
            found: Config = config.load(schema_of(name), file, overrides)
        except ViddaError:
            return None
        return found

    def _follows_unchecked(self, settings: Config) -> bool:
        """Whether a command reads what an earlier one would have written that was only checked."""
        read = settings.model_dump(mode="json", exclude=set(outputs_of(settings)))
        values = re.findall(r'"([^"]+)"', json.dumps(read))
        return any(Path(one).is_relative_to(there) for one in values for there in self.unwritten)

    def _new_output(self, settings: Config, arguments: list[str]) -> list[str]:
        """Overrides after which a command writes to a new folder instead of a made input.

        What a command that is only checked would write is noted.
        """
        changed = []
        for key, path in outputs_of(settings).items():
            if path.parts[0] in self.made and path.exists():
                self._fresh += 1
                changed.append(f"{key}=new/{self._fresh}/{path}")
            elif "--dry-run" in arguments:
                self.unwritten.add(str(path))
        return changed

    def _tool(self, words: list[str]) -> None:
        """Check a script of ours: its help names every switch; one without help is not run.

        It is taken to write what it names and is not there.
        """
        script = ROOT / words[0]
        takes_arguments = "ArgumentParser" in script.read_text()
        said = self._process([sys.executable, str(script), "--help"]) if takes_arguments else ""
        lacking = [word for word in words[1:] if word.startswith("--") and word not in said]
        if lacking:
            raise PageError(f"{words[0]} has no {', '.join(lacking)}")
        self.unwritten |= {word for word in words[1:] if not Path(word).exists()}

    def _script(self, words: list[str]) -> None:
        """Check a shell script of ours, and the commands of vidda in it that have no variables."""
        script = ROOT / words[0]
        self._process(["bash", "-n", str(script)])
        for line in re.findall(r"^\$?vidda (.*)$", script.read_text(), re.MULTILINE):
            if "$" not in line:
                self._vidda([*shlex.split(line), "--dry-run"])

    def _install(self, words: list[str]) -> None:
        """Check that an extra is there; a package of the page's own is installed beside."""
        folders = [word for word in words if word not in ("-e", "--editable")]
        for word in folders:
            if extra := re.fullmatch(r"(?:vidda|\.)\[(\w+)\]", word):
                project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
                if extra[1] not in project["optional-dependencies"]:
                    raise PageError(f"vidda has no extra {extra[1]!r}")
                continue
            options = ["--no-index", "--no-build-isolation", "--no-deps", "--quiet"]
            pip = [sys.executable, "-m", "pip", "install", *options, "--target", "site", word]
            self.read |= {one for one in self.own if Path(one).name == "pyproject.toml"}
            self._process(pip)
            self.packages.append(word)
            os.environ["PYTHONPATH"] += os.pathsep + str(Path("site").absolute())

    def _process(self, command: list[str]) -> str:
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            said = f"{ended.stdout}{ended.stderr}"
            raise PageError(f"{shlex.join(command)}: exit status {ended.returncode}\n{said}")
        return ended.stdout
