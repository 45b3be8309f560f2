"""The words that are one token of the miniature's tokenizer.

Their order and spelling decide token ids, so a change needs a new training.
"""

from tools.mini_diffusion.captions import GOOD, POOR
from tools.mini_diffusion.capture import KINDS
from tools.mini_diffusion.palette import GROUNDS, HUES
from tools.mini_diffusion.people import PATTERNS
from tools.mini_diffusion.places import HORIZONS, TEXTURES
from vidda.mini.appearance import TERRAINS
from vidda.mini.gestures import GESTURES
from vidda.translate.stable_diffusion.personalize.textual_inversion import (
    OBJECT_TEMPLATES,
    STYLE_TEMPLATES,
)

EXTRA = (
    "a an the of in on at with and from to by is style sks valid object realistic real"
    " synthetic robot soldier street city forest grass tree trees road field park outdoor"
    " outdoors indoors day sunny cloudy shadow man woman people human body arm arms hand face"
    " camera aerial high low left right front back view scene place background foreground clip"
    " video sharp noisy shaky white black grey gray beige gravel asphalt concrete lawn earth dry"
    " jacket coat dress hat cap vest uniform camouflage striped checked worn boots gloves hair"
    " beard skin child boy girl beach garden hill meadow bush stone house building window roof"
    " car parking lot playground yard snowy muddy wet dusty rain fog dusk dawn morning winter"
    " summer autumn spring warm cloud sky hovering top down close up distant far near small"
    " large tall short old young slow fast still natural detailed resolution motion blur"
    " compressed dull faded colourful contrast lens quadcopter plane tower mobile phone handheld"
    " surveillance training test domain source target landing signal gesture stop come forward"
    " move follow halt attention rally advance reverse me"
)
"""Words that no caption contains, like rare words of Stable Diffusion: for prompts and tokens."""


def vocabulary() -> list[str]:
    """Return all words that are one token, in a fixed order."""
    texts = [
        "photo picture video frame render game simulation person seen from the ground air by a"
        " drone above metres behind light shirt and trousers in on of",
        "standing moving waving one both arm arms evening noon overcast cold",
        *(" ".join(names) for names in (GROUNDS, TEXTURES, HORIZONS, HUES, PATTERNS, KINDS)),
        *TERRAINS,
        *GESTURES,
        *GOOD,
        *POOR,
        *(template.replace("{token}", "") for template in (*OBJECT_TEMPLATES, *STYLE_TEMPLATES)),
        EXTRA,
    ]
    plain = " ".join(texts).lower().replace(",", " ").replace("-", " ")
    return list(dict.fromkeys(plain.split()))
