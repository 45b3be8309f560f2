"""Sources of weights: a folder or file on this machine, or a repository of the Hugging Face hub."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import inside, resolve_builtin

FileVariant = Annotated[
    str | None,
    Field(description="fp16 takes the files *.fp16.safetensors; null takes those without variant"),
]


class Folder(Config):
    """A folder as diffusers or transformers writes it, or one file where a file is wanted."""

    name: Literal["folder"] = "folder"
    path: Path = Field(
        description="the folder or file; builtin:mini_diffusion is the model that vidda ships"
    )
    variant: FileVariant = None

    def find(self, key: str, patterns: Sequence[str], download: bool) -> Path:
        """Return the path of the folder or file.

        key: of this config, for messages. patterns, download: not used, see `Hub.find`. Raises
        ViddaError when the path does not exist.
        """
        path = resolve_builtin(self.path)
        if not path.exists():
            raise ViddaError(f"{key}: {path}: no such folder; correct {key}.path")
        return path

    def missing_remedy(self, key: str) -> str:
        """Return the remedy, for a message, for a file that is not in the folder.

        key: of this config.
        """
        return "copy the folder again, or name another"


class Hub(Config):
    """A repository of the Hugging Face hub, from its cache on this machine."""

    name: Literal["hub"] = "hub"
    repo: str = Field(description="name of the repository, owner/name")
    revision: str | None = Field(
        default=None, description="branch, tag or commit of the repository; null takes main"
    )
    variant: FileVariant = None

    def find(self, key: str, patterns: Sequence[str], download: bool) -> Path:
        """Return the repository's folder in the cache.

        key: of this config, for messages. patterns: of the files to fetch. download: fetch what the
        cache lacks. Raises ViddaError when it is not there or cannot be fetched.
        """
        return hub_folder(self.repo, self.revision, patterns, key, download, _download(key))

    def missing_remedy(self, key: str) -> str:
        """Return the remedy, for a message, for a file that is not in the cache.

        key: of this config.
        """
        return f"{_download(key)} fetches what the cache lacks, if the repository has it"


def hub_folder(
    repo: str, revision: str | None, patterns: Sequence[str], key: str, download: bool, fetch: str
) -> Path:
    """Return the folder of a hub's repository in this machine's cache.

    repo: owner/name. revision: branch, tag or commit; None for main. patterns: names of the wanted
    files, with wildcards. key: of the repository's config, for messages. download: fetch what the
    cache lacks. fetch: the command-line argument that turns this on, for messages. Raises
    ViddaError when the repository is not in the cache or cannot be fetched.
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
            f"the hub did not send it ({reason}); copy its folder to this machine and name it with"
            f" {key}.name=folder {key}.path=FOLDER"
            if download
            else f"{fetch} fetches it"
        )
        raise ViddaError(f"{key}: {repo} is not in this machine's cache: {remedy}") from None
    return Path(found)


def _download(key: str) -> str:
    """Return the command-line argument that allows to fetch the weights of `key`."""
    within, dot, _ = key.partition("weights.")
    if dot:
        return f"{within}{dot}download=true"
    beside = key.removesuffix("weights")
    return "download=true" if beside == key else f"{beside}download=true"


SourceConfig = Annotated[Folder | Hub, Field(discriminator="name")]


def find_file(source: Folder | Hub, key: str, file: str | None, usual: str, download: bool) -> Path:
    """Return the path of one *.safetensors file of a source.

    key: of the source's config, for messages. file: its name in the folder or repository; None
    takes the name `usual`, or a folder's only *.safetensors. download: fetch what the hub's cache
    lacks. Raises ViddaError when the file is not there or is not a safetensors file.
    """
    path = source.find(key, [file or usual], download)
    if path.is_dir():
        others = sorted(path.glob("*.safetensors")) if isinstance(source, Folder) else []
        chosen = inside(path, file or usual)
        if file is None and not chosen.is_file() and len(others) == 1:
            chosen = others[0]
        if not chosen.is_file():
            raise ViddaError(
                f"{key}: {_no_file(path, chosen.name, others, source.missing_remedy(key))}"
            )
        path = chosen
    elif file is not None:
        raise ViddaError(f"{key}: {path} is a file already; remove {key}.file")
    if path.suffix != ".safetensors":
        raise ViddaError(
            f"{key}: {path} is not a .safetensors, and vidda loads no pickles;"
            " load it once with the library that wrote it, and save it as safetensors"
        )
    return path


def _no_file(path: Path, name: str, others: list[Path], missing: str) -> str:
    pickles = sorted([*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.ckpt")])
    if others:
        return f"{path}: no {name}; choose one of {', '.join(p.name for p in others)} with file"
    also = f" ({pickles[0].name} is a pickle, which vidda does not load)" if pickles else ""
    return f"{path}: no {name}{also}; {missing}"


@contextmanager
def silence_libraries(*libraries: Any) -> Iterator[None]:
    """Silence libraries' own warnings and progress bars within the block.

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
