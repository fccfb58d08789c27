"""A model's folder: loaded offline without running any code from there, and known by a hash."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import KestrelError

BLOCKS, BLOCK = 64, 1 << 16


def load(folder: Path, device: str) -> tuple[Any, Any]:
    """(model, tokenizer) of a folder with safetensors, or with one GGUF file; offline, and without running any code from there."""
    if not folder.is_dir():
        raise KestrelError(f"There is no model folder '{folder}'. Put weights there and name it: --set sentiment.local.folder=DIR")
    ggufs = sorted(folder.glob("*.gguf"))
    if len(ggufs) > 1:
        raise KestrelError(f"{folder} holds {len(ggufs)} GGUF files. Leave one.")
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    options |= {"gguf_file": ggufs[0].name} if ggufs else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", **({} if ggufs else {"use_safetensors": True}), **options)
    except (OSError, ValueError, ImportError) as error:
        raise KestrelError(
            f"{folder} can't be loaded: {str(error).splitlines()[0]}. It needs config.json, tokenizer.json and *.safetensors, or a GGUF."
        ) from None
    return model.to(chosen(device)).eval(), tokenizer


def chosen(device: str) -> str:
    """The device by name; 'auto' is a GPU where there is one."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def fingerprint(folder: Path) -> str:
    """A short hash of a folder's weights and tokenizer: names, sizes, and 64 blocks spread over each file."""
    digest = hashlib.sha256()
    for file in _weights(folder):
        size = file.stat().st_size
        digest.update(f"{file.name} {size} ".encode())
        with file.open("rb") as stream:
            for place in range(BLOCKS):
                stream.seek(max(size - BLOCK, 0) * place // (BLOCKS - 1))
                digest.update(stream.read(BLOCK))
    return digest.hexdigest()[:16]


def _weights(folder: Path) -> Iterator[Path]:
    for pattern in ("*.safetensors", "*.gguf", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        yield from sorted(folder.glob(pattern))
