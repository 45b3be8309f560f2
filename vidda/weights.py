"""Where weights are: a folder or file on this machine, or a repository of the Hugging Face hub."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import inside, resolve_builtin

Variant = Annotated[
    str | None,
    Field(description="fp16 takes the files named *.fp16.safetensors; null: those without"),
]


class Folder(Config):
    """A folder as diffusers or transformers writes it, or one file where a file is wanted."""

    name: Literal["folder"] = "folder"
    path: Path = Field(
        description="the folder, or the file; builtin:mini_diffusion is what vidda ships"
    )
    variant: Variant = None

    def find(self, key: str, patterns: Sequence[str], download: bool) -> Path:
        """Return the folder or file; raises ViddaError when it is not there."""
        path = resolve_builtin(self.path)
        if not path.exists():
            raise ViddaError(f"{key}: {path}: no such folder; correct {key}.path")
        return path

    def missing(self, key: str) -> str:
        """Return what to do when something is not in it. key: of this config, for messages."""
        return "copy the folder again, or name another"


class Hub(Config):
    """A repository of the Hugging Face hub, from its cache on this machine."""

    name: Literal["hub"] = "hub"
    repo: str = Field(description="owner/name, as the hub writes it")
    revision: str | None = Field(default=None, description="branch, tag or commit; null: main")
    variant: Variant = None

    def find(self, key: str, patterns: Sequence[str], download: bool) -> Path:
        """Return the repository's folder in the cache.

        key: of this config, for messages. patterns: of the files to fetch. download: fetch what the
        cache lacks. Raises ViddaError when it is not there or cannot be fetched.
        """
        return hub_folder(self.repo, self.revision, patterns, key, download, _download(key))

    def missing(self, key: str) -> str:
        """Return what to do when something is not in it. key: of this config, for messages."""
        return f"{_download(key)} fetches what the cache lacks, if the repository has it"


def hub_folder(
    repo: str, revision: str | None, patterns: Sequence[str], key: str, download: bool, fetch: str
) -> Path:
    """Return the folder of a hub's repository in this machine's cache.

    patterns: of the files that are wanted. key: of the repository's config, for messages. download:
    fetch what the cache lacks; fetch: what turns that on, as a command line writes it. Raises
    ViddaError when it is not there or cannot be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        found = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=list(patterns),
            local_files_only=not download,
        )
    except HFValidationError:
        raise ViddaError(f"{key}: repo {repo!r} is not written owner/name") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        remedy = (
            f"the hub did not give it ({reason}); copy its folder here and name it with"
            f" {key}.name=folder {key}.path=FOLDER"
            if download
            else f"{fetch} fetches it"
        )
        raise ViddaError(f"{key}: {repo} is not in this machine's cache: {remedy}") from None
    return Path(found)


def _download(key: str) -> str:
    """Return the key that allows to fetch what is at `key`, as it is written on a command line."""
    within, dot, _ = key.partition("weights.")
    return f"{within}{dot}download=true" if dot else "download=true"


SourceConfig = Annotated[Folder | Hub, Field(discriminator="name")]


def find_file(source: Folder | Hub, key: str, file: str | None, usual: str, download: bool) -> Path:
    """Return one *.safetensors of a source.

    file: its name in the folder or repository; None takes the usual name, or in a folder its only
    *.safetensors. Raises ViddaError when it is not there or is not a safetensors file.
    """
    place = source.find(key, [file or usual], download)
    if place.is_dir():
        others = sorted(place.glob("*.safetensors")) if isinstance(source, Folder) else []
        chosen = inside(place, file or usual)
        if file is None and not chosen.is_file() and len(others) == 1:
            chosen = others[0]
        if not chosen.is_file():
            raise ViddaError(f"{key}: {_no_file(place, chosen.name, others, source.missing(key))}")
        place = chosen
    elif file is not None:
        raise ViddaError(f"{key}: {place} is a file already; remove {key}.file")
    if place.suffix != ".safetensors":
        raise ViddaError(
            f"{key}: {place} is not a .safetensors, and vidda loads no pickles;"
            " load it once with the library that wrote it, and save it as safetensors"
        )
    return place


def _no_file(place: Path, name: str, others: list[Path], missing: str) -> str:
    pickles = sorted([*place.glob("*.bin"), *place.glob("*.pt"), *place.glob("*.ckpt")])
    if others:
        return f"{place}: no {name}; choose one of {', '.join(p.name for p in others)} with file"
    also = f" ({pickles[0].name} is a pickle, which vidda does not load)" if pickles else ""
    return f"{place}: no {name}{also}; {missing}"


@contextmanager
def quiet_libraries(*libraries: Any) -> Iterator[None]:
    """Keep back libraries' own warnings and progress bars: vidda says what matters.

    libraries: their modules `utils.logging`, as diffusers and transformers have them.
    """
    before = [(library, library.get_verbosity()) for library in libraries]
    bars = [library for library in libraries if library.is_progress_bar_enabled()]
    for library in libraries:
        library.set_verbosity(logging.CRITICAL)
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, verbosity in before:
            library.set_verbosity(verbosity)
        for library in bars:
            library.enable_progress_bar()
