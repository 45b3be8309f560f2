"""A BLIP captioner of a few kilobytes with random weights, in transformers' format."""

from pathlib import Path

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "photo", "of", "man", "field"]
WORDS += ["waving", "road", "sky", "in", "dark", "the", "red", "two", "people"]
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}


def write_blip(folder: Path) -> Path:
    """A model with its processor, whose captions differ from frame to frame; gives `folder`."""
    vision = {"image_size": 32, "patch_size": 8, "initializer_range": 0.5}
    text = {
        "vocab_size": len(WORDS),
        "encoder_hidden_size": 16,
        "initializer_range": 1.0,
        "bos_token_id": WORDS.index("[DEC]"),
        "sep_token_id": WORDS.index("[SEP]"),
        "max_position_embeddings": 32,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        shape = SIZES | {"num_attention_heads": 2}
        model = BlipForConditionalGeneration(
            BlipConfig(vision_config=shape | vision, text_config=shape | text)
        )
    model.save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)})
    tokenizer.add_special_tokens({"additional_special_tokens": ["[DEC]"]})
    processor = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(processor, tokenizer).save_pretrained(folder)
    return folder
