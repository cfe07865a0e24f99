"""Strategies that spoil what was good: bytes of a frame or file, lines and values of a TOML text. Not what must follow."""

from hypothesis import strategies as st

_SHARE = st.floats(0, 1, exclude_max=True)
_WORDS = st.sampled_from(["flip", "cut", "drop", "double", "insert", "zero", "swap"])


@st.composite
def spoiled(draw: st.DrawFn, good: bytes, most: int = 4) -> bytes:
    """`good` with one to `most` changes at any place; now and then it comes out as it was."""
    raw = bytearray(good)
    for _ in range(draw(st.integers(1, most))):
        at = int(draw(_SHARE) * (len(raw) + 1))
        length = draw(st.sampled_from([1, 1, 1, 2, 4, 8, 30, 200]))
        word = draw(_WORDS)
        if word == "flip" and raw:
            raw[at % len(raw)] ^= draw(st.integers(1, 255))
        elif word == "cut":
            del raw[at:]
        elif word == "drop":
            del raw[at : at + length]
        elif word == "double":
            raw[at:at] = raw[at : at + length]
        elif word == "insert":
            raw[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif word == "zero":
            raw[at : at + length] = bytes(len(raw[at : at + length]))
        elif word == "swap" and len(raw) > at + length:
            raw[at : at + length] = raw[: len(raw[at : at + length])]
    return bytes(raw)


_VALUES = (
    '""', "0", "-1", "1", "1.5", "1e400", "-inf", "nan", "true", "[]", "{}", "[[]]", '["a", 1]', '"a"', '"' + "x" * 300 + '"', "2026-03-05",
    "2026-03-05T00:00:00Z", "07:32:00", "99999999999999999999999", '"\\u0000"', '"../../etc"', '"é"', "{ a = 1 }", "[{ a = 1 }]", '"1e99"', '"nan"',
    '"https://x"', "0x7fffffffffffffff", '"-"', '"Asia/Shanghai"', '"CN-JS"',
)  # fmt: skip


@st.composite
def spoiled_toml(draw: st.DrawFn, good: str) -> bytes:
    """A text with a few lines changed: another value, key or table, a line less or twice or elsewhere; sometimes spoiled bytes."""
    lines = [line for line in good.splitlines() if line.strip()]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        word = draw(st.sampled_from(["value", "value", "value", "value", "key", "drop", "double", "move", "table"]))
        if word == "value" and "=" in line:
            lines[at] = f"{line.split('=')[0]}= {draw(st.sampled_from(_VALUES))}"
        elif word == "key" and "=" in line:
            lines[at] = (
                draw(st.sampled_from(["a", "name", "id", "kind", '""', "unit", "é"])) + " =" + line.split("=", 1)[1]
            )
        elif word == "drop" and len(lines) > 1:
            del lines[at]
        elif word == "double":
            lines.insert(at, line)
        elif word == "move":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
        elif word == "table":
            lines.insert(
                at,
                draw(
                    st.sampled_from(["[x]", "[[x]]", "[mqtt]", "[[bus]]", "[[facility]]", "[[edge]]", "[store]", "["])
                ),
            )
    text = "\n".join(lines).encode()
    return draw(spoiled(text, 2)) if draw(st.integers(0, 9)) == 0 else text
