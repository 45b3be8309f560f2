"""A whole Stable Diffusion 1.5 of two megabytes with random weights, in diffusers' format.

Its parts are those of the real one in fewer and narrower layers: attention at two resolutions and
in the middle, four latent channels, PNDM. Pictures are 4 times as wide and high as their latents.
"""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    MotionAdapter,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from vidda.translate.stable_diffusion.schedulers import SD15_NOISE

FACTOR = 4  # pixels of a latent, along a side
WIDTH = 32  # of the text embedding
SELF_ATTENTIONS = 7  # in the UNet: two going down, one in the middle, four going up
# Words of the recipe's prompts, which would not fit letter by letter: each is one token or few.
WORDS = (
    "person object in the style of sks best quality extremely detailed longbody lowres bad anatomy"
    " hands missing fingers extra digit fewer digits cropped worst quality low photo"
)


def write_tiny(folder: Path, *, seed: int = 0, size: int = 32) -> Path:
    """A pipeline folder with all parts but the safety checker; gives `folder`.

    size: height and width of the pictures that the UNet's config names, in pixels; others work too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_tokenizer()
        text_encoder, vae, unet = _text_encoder(len(tokenizer)), _vae(size), _unet(size)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=PNDMScheduler(**SD15_NOISE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def write_controlnet(folder: Path, base: Path, seed: int) -> Path:
    """A ControlNet made from the UNet of `base`; gives `folder`.

    Its zero convolutions, through which a new ControlNet adds nothing, are random: it matters.
    """
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        controlnet = ControlNetModel.from_unet(
            unet, conditioning_embedding_out_channels=(8, 16, 32)
        )
        zeros = [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]
        for layer in [*zeros, controlnet.controlnet_cond_embedding.conv_out]:
            torch.nn.init.normal_(layer.weight, std=0.1)
            torch.nn.init.normal_(layer.bias, std=0.1)
    controlnet.save_pretrained(folder)
    return folder


def write_lora(folder: Path, base: Path, seed: int) -> Path:
    """A LoRA of UNet and text encoder that matters, as diffusers saves one; gives `folder`."""
    pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    layers = {"unet": ["to_q", "to_v", "conv1"], "text_encoder": ["q_proj", "fc1"]}
    states = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part, names in layers.items():
            model = getattr(pipeline, part)
            model.add_adapter(
                LoraConfig(r=2, lora_alpha=4, target_modules=names, init_lora_weights=False)
            )
            states[f"{part}_lora_layers"] = get_peft_model_state_dict(model)
    StableDiffusionPipeline.save_lora_weights(folder, **states)
    return folder


def write_embedding(folder: Path, word: str, vectors: int, seed: int) -> Path:
    """A textual-inversion embedding of a word, as diffusers saves one; gives `folder`."""
    values = torch.randn(vectors, WIDTH, generator=torch.Generator().manual_seed(seed))
    folder.mkdir(parents=True)
    save_file({word: values}, folder / "learned_embeds.safetensors")
    return folder


def tiny_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with the letters of any text and a few words; "person" is one token."""
    letters = sorted(ByteLevel.alphabet())
    merges = list(dict.fromkeys(merge for word in WORDS.split() for merge in _merges(word)))
    words = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _merges(word: str) -> list[tuple[str, str]]:
    """The pairs that make a word out of its letters, from the left."""
    letters = [*word[:-1], word[-1] + "</w>"]
    return [("".join(letters[:end]), letters[end]) for end in range(1, len(letters))]


def _text_encoder(tokens: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=tokens,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokens - 2,
        eos_token_id=tokens - 1,
        pad_token_id=tokens - 1,
        initializer_factor=4.0,  # else all prompts are nearly the same
    )
    return CLIPTextModel(config).eval()


def _vae(size: int) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=[8, 16, 16],
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=size,
        scaling_factor=0.18215,
    ).eval()


def _unet(size: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=size // FACTOR,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
    ).eval()


def write_motion_adapter(folder: Path, seed: int) -> Path:
    """Motion modules for the UNet of `write_tiny`, whose last layers, 0 when new, matter too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = MotionAdapter(
            block_out_channels=(16, 32),
            motion_layers_per_block=1,
            motion_num_attention_heads=4,
            motion_norm_num_groups=8,
            motion_max_seq_length=16,
        )
        for name, weight in adapter.named_parameters():
            if "proj_out.weight" in name:
                torch.nn.init.normal_(weight, std=0.5)
    adapter.save_pretrained(folder)
    return folder
