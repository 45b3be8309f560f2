"""A whole Wan VACE of 150,000 random weights, in diffusers' format, and a LoRA for it."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from peft import LoraConfig, get_peft_model_state_dict
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

WIDTH = 32  # of the text encoder
OF_CONTROLS = tuple(f"vace_blocks.{block}.proj_out.weight" for block in (0, 1))


def write_tiny_wan(folder: Path, *, seed: int = 0) -> Path:
    """A pipeline folder with all parts; gives `folder`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer, vae, text = _transformer(), _vae(), _text_encoder()
    pipeline = WanVACEPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )
    pipeline.save_pretrained(folder)
    text.save_pretrained(folder / "text_encoder")
    _tokenizer().save_pretrained(folder / "tokenizer")
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "WanVACEPipeline"
    return folder


def write_wan_lora(folder: Path, base: Path, seed: int) -> Path:
    """A LoRA of the transformer that matters, as diffusers saves one; gives `folder`."""
    transformer = WanVACETransformer3DModel.from_pretrained(base / "transformer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer.add_adapter(
            LoraConfig(r=2, lora_alpha=4, target_modules=["to_q", "to_v"], init_lora_weights=False)
        )
    WanVACEPipeline.save_lora_weights(
        folder, transformer_lora_layers=get_peft_model_state_dict(transformer)
    )
    return folder


def _transformer() -> WanVACETransformer3DModel:
    found = WanVACETransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=WIDTH,
        freq_dim=32,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
        vace_layers=[0, 1],
        vace_in_channels=96,
    )
    for name, weight in found.named_parameters():
        if name.endswith("weight") and weight.ndim > 1:
            weight.data *= 4  # else noise and prompts decide little
        if name in ("vace_patch_embedding.weight", *OF_CONTROLS):
            weight.data *= 10
    return found


def _vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)


def _text_encoder() -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.0
    )
    return UMT5EncoderModel(config).eval()


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token for each letter, and T5's at the end."""
    letters = "abcdefghijklmnopqrstuvwxyz 0123456789,."
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((one, -1.0) for one in letters)]
    tokenizer = Tokenizer(Unigram(words, unk_id=2))
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
