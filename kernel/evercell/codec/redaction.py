"""What looks like a key, masked in text for people: the redactor that is on from the start.

Only shapes that are unmistakable: a mask in the middle of an ordinary text would harm the reader.
"""

from __future__ import annotations

import re

__all__ = ["mask_keys", "mask_literals"]

_START = r"(?<![A-Za-z0-9])"
# What must occur for the pattern to be worth trying (a search for text is many times faster than
# one for a pattern), and the pattern; its group "shown" stays.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (needles, re.compile(pattern))
    for needles, pattern in (
        (("sk-",), _START + r"(?P<shown>sk-)(?=[\w-]*\d)[\w-]{16,}"),  # OpenAI, Anthropic, ...
        (("AKIA", "ASIA"), _START + r"(?P<shown>A[KS]IA)[0-9A-Z]{16}(?![A-Za-z0-9])"),  # AWS
        (
            ("earer ", "EARER "),
            r"(?P<shown>\b(?:Bearer|bearer|BEARER) +)(?=[^\s\"']*\d)[\w.~+/=-]{16,}",
        ),
        (
            ("ghp_", "gho_", "ghr_", "ghs_", "ghu_", "github_pat_"),
            _START + r"(?P<shown>gh[oprsu]_|github_pat_)\w{30,}",
        ),  # GitHub
        (("glpat-",), _START + r"(?P<shown>glpat-)[\w-]{20,}"),  # GitLab
        (("xox",), _START + r"(?P<shown>xox[abeoprs]-)[\w-]{10,}"),  # Slack
        (("AIza",), _START + r"(?P<shown>AIza)[\w-]{35}"),  # Google
        (("hf_",), _START + r"(?P<shown>hf_)[A-Za-z0-9]{30,}"),  # Hugging Face
        (("eyJ",), _START + r"(?P<shown>eyJ)[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),  # JWT
        (
            ("PRIVATE KEY-----",),
            r"(?P<shown>-----BEGIN [A-Z ]*PRIVATE KEY-----)"
            r"[\s\S]+?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
        ),
        (("://",), r"(?P<shown>\b[a-z][a-z0-9+.-]*://[^\s/:@\"']*:)[^\s/@\"']+(?=@)"),  # in a URL
    )
)
_BY_NEEDLE = tuple((needle, pattern) for needles, pattern in _SHAPES for needle in needles)
# A search for one character is many times faster again, and most texts lack most of these.
_BY_CHARACTER = tuple(
    (character, tuple(needle for needle, _ in _BY_NEEDLE if character in needle))
    for character in "-_:JA x"
)
_LITERAL = re.compile(
    r"(?P<shown>\b(?:Secret|AesGcm)\(\s*[bru]{0,2})"
    r"(?:'''[\s\S]*?'''|\"\"\"[\s\S]*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")"
)


def mask_keys(text: str) -> str:
    """`text` with `***` in place of what looks like an API key, a token or a password in a URL."""
    for character, needles in _BY_CHARACTER:  # plain loops: this runs for each step
        if character in text:
            for needle in needles:
                if needle in text:
                    return _masked(text)
    return text


def _masked(text: str) -> str:
    for needle, pattern in _BY_NEEDLE:
        if needle in text:
            text = pattern.sub(r"\g<shown>***", text)
    return text


def mask_literals(source: str) -> str:
    """Source code with `"***"` for what stands in it as `Secret("...")` or `AesGcm(b"...")`: a
    cell's source is recorded before the cell runs, so no Secret is known yet."""
    if "Secret(" not in source and "AesGcm(" not in source:
        return source
    return _LITERAL.sub(r'\g<shown>"***"', source)
