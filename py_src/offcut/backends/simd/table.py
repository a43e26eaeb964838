"""The op table's layout, the same as in kernels/program.h (a test compares the two).

An op is its kernel's number, its pieces of work, and the kernel's arguments: little-endian words,
padded to OP_BYTES.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

__all__ = [
    "CONTROL_BYTES",
    "KERNELS",
    "LAYOUTS",
    "OP_BYTES",
    "PICTURES",
    "THREADS_AT",
    "pack_control",
    "pack_op",
]

OP_BYTES = 192
CONTROL_BYTES = 64 + 64 * 16  # counters and offsets, and a line of the cache for each thread
THREADS_AT = 16  # where the control block has the number of threads

LAYOUTS: dict[str, str] = {  # argument struct -> "name:code" of each field, code as in struct
    "conv": """in:I out:I residual:I weights:I scales:I bias:I row_runs:I column_runs:I runs:I
        blocks_in:I blocks_out:I channels_out:I h_in:i w_in:i h_out:i w_out:i kernel_h:i
        kernel_w:i stride_h:i stride_w:i dilation_h:i dilation_w:i pad_top:i pad_left:i pitch_in:I
        pitch_out:I pitch_residual:I parts:I fine:I floats:I plain:I activation:I activation_last:I
        residual_scales:I residual_offset:f residual_least:f steps:f zero:f border:I bent:I
        knees:I residual_knee:I pairs:I residual_floor:i""",
    "pool": """in:I out:I planes:I h_in:i w_in:i h_out:i w_out:i kernel_h:i kernel_w:i stride_h:i
        stride_w:i dilation_h:i dilation_w:i pad_top:i pad_left:i pitch_in:I pitch_out:I
        count_padding:I h_end:i w_end:i""",
    "resize": """in:I out:I planes:I h_in:i w_in:i h_out:i w_out:i pitch_in:I pitch_out:I rows:I
        columns:I doubling:I""",
    "convert": "in:I out:I planes:I counts:I h:i w:i pitch:I parameters:I",
    "affine": """in:I out:I other:I planes:I counts:I factors:I terms:I h:i w:i pitch_in:I
        pitch_out:I scale:f second:f offset:f steps:f zero:f limits:I least:I most:I
        joint:I border:I""",
    "elementwise": """a:I b:I out:I h:i w:i a_row:i a_column:i b_row:i b_column:i combine:I
        activation:I p:f q:f""",
    "reduce": "in:I out:I count:i kind:I parameters:I epsilon:f",
    "float_conv": """in:I out:I residual:I weights:I bias:I row_runs:I column_runs:I runs:I
        groups:I channels_in:I channels_out:I h_in:i w_in:i h_out:i w_out:i kernel_h:i kernel_w:i
        stride_h:i stride_w:i dilation_h:i dilation_w:i pad_top:i pad_left:i panel:i activation:I
        activation_last:I""",
    "float_pack": "source:I weights:I outputs:I depth:I width:I",
    "pack": """source:I row:I lanes:I factors:I lanes_in:I outputs:I blocks_out:I runs:I bias:I
        bias_stride:I limit:I parts:I most_units:f winograd:I lane_step:I pair_step:I steps:f zero:f
        weights:I scales:I bias_packed:I""",
    "filter": "in:I out:I taps:I weights:I rows_in:I rows_out:I width:I count:I",
    "guide": "in:I out:I size:I epsilon:f",
    "lines": """in:I out:I pixels:I rows:I row_parts:I columns:I column_parts:I high:I wide:I
        width:I""",
    "png": "in:I out:I bytes:I channels:I",
    "deflate": "in:I out:I states:I bytes:I last:I",
    "blocks": "in:I out:I width:I block:I",
    "block_sums": "in:I out:I rows:I width:I high:I wide:I",
    "spread": "in:I out:I high:I wide:I",
    "rans": """pieces:I tables:I words:I states:I out:I rest:I pieces_in:I tables_in:I
        words_in:I lanes:I""",
}
FIELDS = {
    layout: [tuple(field.split(":")) for field in text.split()] for layout, text in LAYOUTS.items()
}
FORMATS = {
    layout: struct.Struct("<2I" + "".join(code for _, code in fields))
    for layout, fields in FIELDS.items()
}

KERNELS: dict[str, str] = {  # kernel -> its argument struct, in the order of program.c
    "conv_winograd": "conv",
    "conv_direct": "conv",
    "conv_narrow": "conv",
    "max_pool": "pool",
    "average_pool": "pool",
    "resize_u8": "resize",
    "dequantize": "convert",
    "quantize": "convert",
    "quantize_finely": "convert",
    "pack_weights": "pack",
    "conv_float": "float_conv",
    "conv_float_winograd": "float_conv",
    "conv_float_windows": "float_conv",
    "pack_float": "float_pack",
    "pack_float_winograd": "float_pack",
    "max_pool_float": "pool",
    "average_pool_float": "pool",
    "resize_float": "resize",
    "spread_float": "float_conv",
    "elementwise_float": "elementwise",
    "reduce_float": "reduce",
    "normalize_float": "reduce",
    "conv_depthwise": "conv",
    "affine_u8": "affine",
    "reduce_u8": "affine",
    "normalize_u8": "affine",
    "conv_float_pixel": "float_conv",
}
PICTURES: dict[str, str] = {  # the same for what workbench.py does
    "decode_rans": "rans",
    "filter_rows": "filter",
    "multiply_pairs": "guide",
    "fit_lines": "guide",
    "apply_lines": "lines",
    "unmix": "lines",
    "filter_png": "png",
    "spread_colours": "spread",
    "shrink_blocks": "blocks",
    "sum_blocks": "block_sums",
    "deflate_rle": "deflate",
}
FIRST_PICTURE = 64
NUMBERS = {kernel: number for number, kernel in enumerate(KERNELS)}
NUMBERS |= {kernel: FIRST_PICTURE + number for number, kernel in enumerate(PICTURES)}


def pack_op(kernel: str, units: int, args: Mapping[str, float]) -> bytes:
    """Return the op's bytes; arguments that are left out are 0."""
    layout = KERNELS[kernel] if kernel in KERNELS else PICTURES[kernel]
    names = FIELDS[layout]
    assert args.keys() <= {name for name, _ in names}, (kernel, args.keys())
    words = [args.get(name, 0) for name, _ in names]
    return FORMATS[layout].pack(NUMBERS[kernel], units, *words).ljust(OP_BYTES, b"\0")


def pack_control(*, threads: int, ops: int, scratch: int, scratch_size: int) -> bytes:
    """Return the control block: counters at 0, number of threads, offsets of ops and scratch."""
    words = (0, 0, 0, 0, threads, ops, 0, 0, scratch, scratch_size)
    return struct.pack(f"<{len(words)}I", *words).ljust(CONTROL_BYTES, b"\0")
