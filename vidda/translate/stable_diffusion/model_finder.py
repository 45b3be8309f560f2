"""Finding and checking of models' folders one by one, with everything that is wrong collected."""

import json
from pathlib import Path
from typing import Protocol

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.folders import (
    DIFFUSERS,
    JsonContent,
    ModelFolder,
    missing_weights_message,
    model_files,
    pipeline_files,
    pipeline_hint,
    weight_files,
)
from vidda.weights import Folder, Hub, find_file


class WeightSources(Protocol):
    """The keys of a backbone's weights that its finder reads; see `WeightsConfig`."""

    @property
    def key(self) -> str:
        """Return the prefix of the keys on the command line, for messages."""
        ...

    @property
    def backbone(self) -> str:
        """Return the name of the backbone."""
        ...

    @property
    def base(self) -> Folder | Hub:
        """Return the source of the whole pipeline."""
        ...

    @property
    def download(self) -> bool:
        """Return whether files that the hub's cache lacks are downloaded."""
        ...


class ModelFinder:
    """Finds models and files one by one, and collects what is wrong with them in `problems`."""

    def __init__(self, config: WeightSources) -> None:
        self.sources = config
        self.key = config.key
        self.problems: list[str] = []

    def pipeline(self, classes: tuple[str, ...], patterns: list[str], wanted: str) -> Path | None:
        """Return the base's folder, when it is a pipeline of one of these classes.

        patterns: of its files in a repository. wanted: a text on such a folder, for the message.
        """
        base = self.sources.base
        folder = self._source_folder(f"{self.key}base", base, patterns)
        if folder is None:
            return None
        index = folder / "model_index.json"
        if not index.is_file():
            hint = pipeline_hint(folder, classes[0])
            self.problems.append(f"{folder}: no model_index.json; {hint}")
            return None
        name = str((self.content(index, base) or {}).get("_class_name"))
        if name in classes:
            return folder
        xl = name.startswith("StableDiffusionXL")
        larger = "; Stable Diffusion XL, with two text encoders, is not supported" if xl else ""
        self.problems.append(
            f"{index}: a {name}; name a {wanted} folder (backbone {self.sources.backbone} takes"
            f" {', '.join(classes)}){larger}"
        )
        return None

    def tokenizer(self, folder: Path, source: Folder | Hub) -> Path | None:
        """Return the tokenizer's folder, when its vocabulary is there."""
        whole = (folder / "tokenizer.json").is_file()
        if whole or ((folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()):
            return folder
        self.problems.append(
            f"{folder}: neither tokenizer.json nor vocab.json and merges.txt;"
            f" {source.missing_remedy(self.key)}"
        )
        return None

    def file(self, key: str, source: Folder | Hub, file: str | None, usual: str) -> Path | None:
        """Return the path of one *.safetensors file of a source.

        file: its name there; None: `usual`.
        """
        try:
            return find_file(source, f"{self.key}{key}.source", file, usual, self.sources.download)
        except ViddaError as error:
            self.problems.append(str(error))
            return None

    def model_folder(
        self, folder: Path, classes: tuple[str, ...], source: Folder | Hub, stem: str = DIFFUSERS
    ) -> ModelFolder | None:
        """Return a model's folder, when it has one of the classes and all of its weights."""
        config = self.content(folder / "config.json", source)
        if config is None:
            return None
        name = config.get("_class_name") or (config.get("architectures") or ["?"])[0]
        if name not in classes:
            wanted = " or ".join(classes)
            self.problems.append(f"{folder}: holds a {name}; name a folder with a {wanted}")
            return None
        files = weight_files(folder, stem, source.variant)
        if not files:
            self.problems.append(
                f"{folder}: {missing_weights_message(folder, stem, source, self.key)}"
            )
            return None
        return ModelFolder(folder, config, files, source.variant)

    def content(self, file: Path, source: Folder | Hub) -> JsonContent | None:
        """Return the content of a JSON file with settings; None when it cannot be read."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.problems.append(
                f"{file.parent}: no {file.name}; {source.missing_remedy(self.key)}"
            )
            return None
        except (OSError, ValueError) as error:
            self.problems.append(f"{file}: cannot be read as JSON ({error}); copy it again")
            return None
        if not isinstance(content, dict) or not content:
            self.problems.append(f"{file}: holds no settings; copy it again")
            return None
        return content

    def source_model(
        self, key: str, source: Folder | Hub, classes: tuple[str, ...], below: str | None = None
    ) -> ModelFolder | None:
        """Return the model of a source; below: its folder where that is a whole pipeline."""
        names = model_files(DIFFUSERS, source.variant)
        patterns = [*names, *(pipeline_files(source.variant) if below else ())]
        folder = self._source_folder(key, source, patterns)
        if folder and below and (folder / below).is_dir():
            folder = folder / below
        return self.model_folder(folder, classes, source) if folder else None

    def _source_folder(self, key: str, source: Folder | Hub, patterns: list[str]) -> Path | None:
        try:
            folder = source.find(key, patterns, self.sources.download)
        except ViddaError as error:
            self.problems.append(str(error))
            return None
        if not folder.is_dir():
            self.problems.append(f"{key}: {folder} is a file; {pipeline_hint(folder)}")
            return None
        return folder
