// The op table: what Python writes, and what the interpreter and the kernels read.
//
// Everything lies in one memory: control block, op table, tables of offsets, packed weights, arena,
// scratch. Places in it are byte offsets from its start (u32), so the table is the same for
// WebAssembly and native code. table.py holds the same layout; a test compares the two.
//
// A u8 value is a list of planes of 16 channels, each with a border:
//
//       pitch = (1 + round_up(w, 4) + 1) * 16 bytes
//     +---------------------------------------+
//     | border row                            |   A cell holds the 16 channels of one pixel. The
//     | b | (0,0) (0,1) ...        (0,w-1) | b |   border is everything outside of h x w: one cell
//     | b | (1,0)                          | b |   above and to the left, one to four below and to
//     | b | ...                            | b |   the right, so that 4 x 4 tiles with their rim
//     | border rows (1 to 4)                  |   never leave the plane. Border cells hold the
//     +---------------------------------------+   plane's zero point: the u8 that stands for 0.0.
//
// A table of planes holds the offset of cell (0,0) of each plane; a table of blocks that of each
// half plane of 8 channels. Concat and slices are therefore nothing but other tables.
// A float value is a list of planes of one channel, f32 [h][w], without a border.
#pragma once
#include <stdint.h>

enum { CELL = 16, BLOCK = 8 };  // channels of a plane, and of a block

// Conv of every kind. "blocks" are blocks of 8 channels, the last one padded with zero weights.
typedef struct {
    uint32_t in;        // table of blocks [blocks_in] (u8), or of channels [channels_in] (float)
    uint32_t out;       // table of blocks [blocks_out] (u8), or of channels [channels_out] (float)
    uint32_t residual;  // table of blocks of a u8 value to add, 0 for none
    uint32_t weights, scales, bias;  // packed; see the kernel
    uint32_t row_runs, column_runs;  // u32 [h_out], [w_out]: which bias; 0 when there is only one
    uint32_t runs;                   // biases per output row run: bias is [rows][runs][8 * blocks]
    uint32_t blocks_in, blocks_out;
    uint32_t channels_out;
    int32_t h_in, w_in, h_out, w_out;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    uint32_t pitch_in, pitch_out, pitch_residual;
    uint32_t parts;            // Winograd: pieces of work in a row of tiles
    uint32_t fine;             // 1: the input is one of quantize_finely
    uint32_t floats;           // 1: the output is float
    uint32_t plain;            // 1: the sums give u8 steps; see epilogue.h, conv_winograd.c
    uint32_t activation;       // of the sum; none in plain ones
    uint32_t activation_last;  // after the residual
    // Added: u8 * scale, f32 [blocks_out][8], after the offset (part of the bias in plain ones) and
    // not less than `least`. In plain Winograd i16 factors: see winograd.h.
    uint32_t residual_scales;
    float residual_offset, residual_least;
    float steps, zero;  // output in u8 steps = real value * steps + zero; 1 and 0 in plain ones
    uint32_t border;    // the zero point of the output
    uint32_t bent;      // 1: the output's planes are bent; see plane.h
    uint32_t knees;     // u32 [blocks_in]: of the input's planes; 0: none is bent, or it is fine
    uint32_t residual_knee;
    uint32_t pairs;  // Winograd: pairs of channels in the first block, the emptiest one
    int32_t residual_floor;  // plain Winograd: what the residual is added to at the least
} conv_args;

typedef struct {
    uint32_t in, out;  // tables of planes
    uint32_t planes;
    int32_t h_in, w_in, h_out, w_out;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    uint32_t pitch_in, pitch_out;
    uint32_t count_padding;  // AveragePool: cells of the padding count
    int32_t h_end, w_end;    // AveragePool: where the padding below and to the right ends
} pool_args;

typedef struct {
    uint32_t in, out;  // tables of planes
    uint32_t planes;
    int32_t h_in, w_in, h_out, w_out;
    uint32_t pitch_in, pitch_out;
    uint32_t rows, columns;  // resize_tap [h_out], [w_out]
    uint32_t doubling;       // 1: exactly twice the size with half-pixel centres
} resize_args;

// Where an output row or column reads: low + (high - low) * weight.
typedef struct {
    int32_t low, high;
    float weight;
    int32_t steps;  // weight in 2^-14
} resize_tap;

// Between u8 and float values: float = (u8 - zero) * scale; u8 = float * steps + zero.
typedef struct {
    uint32_t in, out;  // tables: planes for u8, channels for float
    uint32_t planes;
    uint32_t counts;  // u32 [planes]: channels in each
    int32_t h, w;
    uint32_t pitch;
    uint32_t parameters;  // f32 [channels][2]: steps and zero; dequantize: [3]: scale, offset, knee
} convert_args;

// u8 planes by channel: u8 = in * factor * scale + other * second + factor * offset + term * steps
// + zero, where factor is 1, other 0 and term 0 if there is none. Also sums of channels.
typedef struct {
    uint32_t in, out;         // tables of planes; the sums' out is one of channels
    uint32_t other;           // table of planes of a second value, 0 for none
    uint32_t planes;
    uint32_t counts;          // u32 [planes]: channels in each
    uint32_t factors, terms;  // tables of float channels of one number, 0 for none
    int32_t h, w;
    uint32_t pitch_in, pitch_out;
    float scale, second, offset, steps, zero;
    uint32_t limits, least, most;  // 1: nothing but limits
    uint32_t joint;   // numbers of a sum of two values without a term, 0 for none; see affine.c
    uint32_t border;  // the zero point of the result
} affine_args;

// Elementwise on float values: out = activation(a, or a and b combined).
typedef struct {
    uint32_t a, b, out;  // tables of channels; b is a when there is one operand
    int32_t h, w;
    int32_t a_row, a_column, b_row, b_column;  // floats to the next row, column; 0: broadcast
    uint32_t combine, activation;
    float p, q;  // of the activation
} elementwise_args;

// Each float channel to one number, or normalised by its own mean and variance.
typedef struct {
    uint32_t in, out;  // tables of channels
    int32_t count;     // floats of an input channel
    uint32_t kind;
    uint32_t parameters;  // f32 [channels][2]: scale and bias
    float epsilon;
} reduce_args;

// Conv of float channels; also ConvTranspose's second half. channels_in and channels_out count
// those of one group.
typedef struct {
    uint32_t in, out;                      // tables of channels
    uint32_t residual;                     // table of channels to add, 0 for none
    uint32_t weights, bias;                // see the kernel; bias f32 [runs][channels_out]
    uint32_t row_runs, column_runs, runs;  // as in conv_args
    uint32_t groups, channels_in, channels_out;
    int32_t h_in, w_in, h_out, w_out;  // these and the next line: see windows.c
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t panel;             // pixels, or Winograd's quads, in a piece of work
    uint32_t activation;       // of the sum
    uint32_t activation_last;  // after the residual
} float_conv_args;

// Packing of float weights, run once at load.
typedef struct {
    uint32_t source;   // f32 [outputs of all groups][depth]
    uint32_t weights;  // the result
    uint32_t outputs;  // of one group
    uint32_t depth;    // weights of an output
    uint32_t width;    // outputs that are packed together
} float_pack_args;

// Packing of one conv's weights, run once at load. See pack.c.
typedef struct {
    uint32_t source;    // f32 [channels_out][row]
    uint32_t row;       // weights of one output channel
    uint32_t lanes;     // i32 [lanes_in]: which element of the row, -1 for none (Winograd: of 9)
    uint32_t factors;   // f32 [lanes_in][2]: the input's scale, and -zero * scale
    uint32_t lanes_in;  // multiples of 8
    uint32_t outputs;   // i32 [blocks_out * 8]: which output channel, -1 for none
    uint32_t blocks_out;
    uint32_t runs;          // biases per output channel
    uint32_t bias;          // f32 [channels_out][runs], 0 for none
    uint32_t bias_stride;   // floats from one run to the next in bias_packed
    uint32_t limit;         // the largest |input|: 255, 393 if bent, or see packing.py for fine ones
    uint32_t parts;         // plain Winograd: of a step, which results have; else 0
    float most_units;       // of sums, in a step: see pack.c
    uint32_t winograd;      // 1: rows are 3x3 kernels, to be transformed
    uint32_t lane_step, pair_step;  // i16 from an output channel, a pair of inputs, to the next
    float steps, zero;      // the output in u8 steps = real value * steps + zero
    uint32_t weights, scales, bias_packed;  // results
} pack_args;

// A filter along the rows of pictures, which it turns. See image.c.
typedef struct {
    uint32_t in, out;        // f32 planes
    uint32_t taps, weights;  // u32, f32 [count][rows_out]
    uint32_t rows_in, rows_out, width, count;
} filter_args;

// The guided filter at the map's size. See guided.c.
typedef struct {
    uint32_t in, out;  // f32 planes
    uint32_t size;     // samples of a plane
    float epsilon;     // added to the variances
} guide_args;

// A small map, enlarged bilinearly to rows of a photo. See guided.c and unmix.c.
typedef struct {
    uint32_t in, out, pixels;        // maps, pixels
    uint32_t rows, row_parts;        // u32, f32 [units]: the cell before each row, how far beyond
    uint32_t columns, column_parts;  // u32, f32 [width]
    uint32_t high, wide, width;      // of the map; of the rows
} lines_args;

// Colours spread from where they are pure. See spread.c.
typedef struct {
    uint32_t in, out;  // f32 [4][high][wide], f32 [high][wide][8]
    uint32_t high, wide;
} spread_args;

// A picture shrunk by blocks. See blocks.c, for both.
typedef struct {
    uint32_t in, out;       // u8 RGBA
    uint32_t width, block;  // of `in`; of a block, its height too
} blocks_args;

typedef struct {
    uint32_t in, out;                  // u8, u16 RGBA
    uint32_t rows, width, high, wide;  // of `in`; of a block
} block_sums_args;

// A picture's rows, filtered for a PNG. See png.c.
typedef struct {
    uint32_t in, out;  // u8 rows
    uint32_t bytes;    // of a row
    uint32_t channels;
} png_args;

// Their deflate stream, piece by piece. See deflate.c.
typedef struct {
    uint32_t in, out;  // u8
    uint32_t states;   // deflate.c's `state`
    uint32_t bytes;    // of `in`
    uint32_t last;     // 1: nothing comes after these
} deflate_args;

// Decoding of entropy-coded symbols, run once at load. See rans.c.
typedef struct {
    uint32_t pieces;    // u32 [pieces_in][2]: how many symbols, and which table codes them
    uint32_t tables;    // u16 [tables_in][256]: frequencies
    uint32_t words;     // u16 [words_in]
    uint32_t states;    // u32 [lanes]; in the end those after the last symbol
    uint32_t out;       // u8: all symbols, a result
    uint32_t rest;      // i32: words left over, or -1, a result
    uint32_t pieces_in, tables_in, words_in, lanes;
} rans_args;

typedef struct {
    uint32_t kernel;  // which one, as program.c counts
    uint32_t units;   // how many pieces the kernel splits its work into: rows, blocks, ...
    union {
        conv_args conv;
        pool_args pool;
        resize_args resize;
        convert_args convert;
        elementwise_args elementwise;
        affine_args affine;
        reduce_args reduce;
        float_conv_args float_conv;
        float_pack_args float_pack;
        pack_args pack;
        filter_args filter;
        rans_args rans;
        guide_args guide;
        lines_args lines;
        png_args png;
        deflate_args deflate;
        spread_args spread;
        blocks_args blocks;
        block_sums_args block_sums;
        uint32_t words[46];
    };
} op;

// How many pieces of a thread's share of an op are taken: in this op, and in the one before or
// after it. A line of the cache for each thread, since mostly it alone takes of its share.
typedef struct {
    uint32_t taken[2];
    uint32_t apart[14];
} share;

// What every kernel is called with. It takes pieces of its op until no thread has any left.
typedef struct {
    uint8_t *memory;
    op *op;
    uint8_t *scratch;     // this thread's own
    uint32_t threads;     // that run the op
    uint32_t ith;         // of them is this one
    uint32_t piece, end;  // the pieces that this thread has taken and not yet done
    uint32_t emptied;     // shares that it found empty: its own first, then the next ones
    uint32_t turn;        // which counters of the shares are this op's
    share *shares;
} args;

// The next piece of work for this thread, -1 when there is none.
int next_piece(args *a);

typedef void kernel(args *a);
kernel conv_winograd, conv_direct, conv_narrow, conv_depthwise;
kernel max_pool, average_pool, resize_u8, dequantize, quantize;
kernel quantize_finely;
kernel pack_weights;
kernel decode_rans, filter_rows, multiply_pairs, fit_lines, apply_lines, unmix, filter_png, spread_colours, shrink_blocks, sum_blocks;
kernel deflate_rle;
kernel conv_float, conv_float_winograd, conv_float_windows, conv_float_pixel;
kernel pack_float, pack_float_winograd;
kernel max_pool_float, average_pool_float, resize_float, spread_float, elementwise_float;
kernel reduce_float, normalize_float, affine_u8, reduce_u8, normalize_u8;

static inline void require(int holds) {
    if (!holds) __builtin_trap();
}
