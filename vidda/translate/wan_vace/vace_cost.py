"""The compute that Wan VACE takes, from its configs."""

from vidda.translate.stable_diffusion.folders import JsonContent

WAN_1_3B: JsonContent = {
    "attention_head_dim": 128,
    "ffn_dim": 8960,
    "in_channels": 16,
    "num_attention_heads": 12,
    "num_layers": 30,
    "out_channels": 16,
    "text_dim": 4096,
    "vace_in_channels": 96,
    "vace_layers": [*range(0, 30, 2)],
}
"""The transformer of Wan2.1-VACE-1.3B, where it differs from the defaults of diffusers' class,
which are 14B's."""
WAN_VAE: JsonContent = {"base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4]}
"""The autoencoder of Wan 2.1, whose work is counted below."""
TEXT_TOKENS = 512
VAE_PIXELS = 480 * 832
ENCODE_FIRST, ENCODE, DECODE_FIRST, DECODE = 2.72, 8.05, 4.35, 13.55
"""TFLOP of the autoencoder for the first latent and for each further one, of 480x832 pixels."""


def transformer_teraflops(config: JsonContent, latents: int, height: int, width: int) -> float:
    """Return the TFLOP of one pass of a WanVACETransformer3DModel.

    config: of its config.json. latents: in time. height, width: of the latents.
    """
    patch = config.get("patch_size", (1, 2, 2))
    tokens = latents // patch[0] * (height // patch[1]) * (width // patch[2])
    size = config["num_attention_heads"] * config["attention_head_dim"]
    own = 8 * size**2 + 4 * tokens * size  # projections and attention of a token to all
    text = 4 * size**2 + 4 * TEXT_TOKENS * (size + size**2 / tokens)
    block = tokens * (own + text + 4 * size * config["ffn_dim"])
    controls = len(config["vace_layers"])
    projections = 2 * (controls + 1) * tokens * size**2
    return (block * (config["num_layers"] + controls) + projections) / 1e12


def vae_teraflops(config: JsonContent, latents: int, height: int, width: int) -> float | None:
    """Return the TFLOP of encoding two videos and decoding one; None for another autoencoder.

    config: of an AutoencoderKLWan. latents: in time. height, width: of the frames.
    """
    if any(config.get(key, value) != value for key, value in WAN_VAE.items()):
        return None
    more = latents - 1
    work = 2 * (ENCODE_FIRST + more * ENCODE) + DECODE_FIRST + more * DECODE
    return work * height * width / VAE_PIXELS
