// 3x3 convolution with stride 1 and padding 1 on u8 planes, by Winograd's F(4x4, 3x3) in 16 bits.
//
// A piece of work is a row of tiles, 4 output rows, or a part of it where no tile sticks out of the
// output. It goes in groups of n tiles:
//
//   in planes --B^T d B--> transformed  i16 [36][blocks_in][n][8]
//   for each block of 8 output channels:
//       transformed x weights --> sums  i32 [36][GROUP][8]        36 matrix products (gemm.h)
//       sums * scales --A^T m A--> 4 x 4 pixels of each tile --> u8 cells
//
//   weights  i16 [blocks_out][36][blocks_in][4][8][2]
//   scales   f32 [blocks_out][36][8]    one for each output channel and tap
//
// No sum overflows: pack.c chooses each scale so that sum_c |weight| * limit(tap) * 255 < 2^31,
// where limit(tap) * 255 bounds |B^T d B| (winograd.h), and traps if the rounded weights break it.
// Tiles that stick out of the output read the border and are cut when they are written.
#include "epilogue.h"
#include "gemm.h"
#include "winograd.h"

#if defined(__AVX2__)
typedef VECTOR(float, 32) floats;
enum { HALVES = 1, LANES = 8 };
INLINE pixel pixel_of(const floats v[HALVES]) {
    return (pixel){__builtin_shufflevector(v[0], v[0], 0, 1, 2, 3),
                   __builtin_shufflevector(v[0], v[0], 4, 5, 6, 7)};
}
#else
typedef f32x4 floats;
enum { HALVES = 2, LANES = 4 };
INLINE pixel pixel_of(const floats v[HALVES]) { return (pixel){v[0], v[1]}; }
#endif
typedef VECTOR(int32_t, LANES * 4) integers;
DEFINE_COLLECT(floats)

INLINE floats load_floats(const float *from) {
    floats v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
INLINE floats load_sums(const int32_t *from) {
    integers v;
    __builtin_memcpy(&v, from, sizeof v);
    return __builtin_convertvector(v, floats);
}

// B^T d B of n tiles of one block of channels. `in` is the cell above and to the left of the first
// output pixel; tiles are 4 pixels apart and share two columns with the next one.
static void transform_tiles(const uint8_t *in, uint32_t pitch, int n, int16_t *out, int tap_size) {
    i16x8 columns[(4 * GROUP + 2) * 6];  // [column][6 rows]
    for (int x = 0; x < 4 * n + 2; x++, in += CELL)
        transform_6(load_u8_as_i16(in), load_u8_as_i16(in + pitch), load_u8_as_i16(in + 2 * pitch),
                    load_u8_as_i16(in + 3 * pitch), load_u8_as_i16(in + 4 * pitch),
                    load_u8_as_i16(in + 5 * pitch), columns + x * 6, 1);
    for (int row = 0; row < 6; row++) {
        const i16x8 *d = columns + row;
        i16x8 *to = (i16x8 *)(out + row * 6 * tap_size);
        for (int tile = 0; tile < n; tile++, d += 24)
            transform_6(d[0], d[6], d[12], d[18], d[24], d[30], to + tile, tap_size / 8);
    }
}

// A tile between the two steps of A^T m A: [half of the channels][column of pixels][row of taps].
typedef floats half_done[HALVES][4][6];

// The first step, for one half of the channels.
INLINE void collect_rows(const int32_t *sums, const float *scales, floats out[4][6]) {
    for (int row = 0; row < 6; row++, sums += 6 * GROUP * 8, scales += 6 * 8) {
        floats m[6], pixels[4];
        UNROLL for (int i = 0; i < 6; i++)
            m[i] = load_sums(sums + i * GROUP * 8) * load_floats(scales + i * 8);
        collect_floats(m, pixels);
        UNROLL for (int i = 0; i < 4; i++) out[i][row] = pixels[i];
    }
}

// The second step, for the 4 pixels of column x. Row 1 of the taps goes into all of them with a
// factor of 1, and so does a bias that is added to it.
INLINE void collect_column(half_done tile, int x, const floats bias[HALVES], pixel out[4]) {
    floats rows[4][HALVES];
    UNROLL for (int half = 0; half < HALVES; half++) {
        floats m[6], column[4];
        UNROLL for (int i = 0; i < 6; i++) m[i] = tile[half][x][i];
        m[1] += bias[half];
        collect_floats(m, column);
        UNROLL for (int row = 0; row < 4; row++) rows[row][half] = column[row];
    }
    UNROLL for (int row = 0; row < 4; row++) out[row] = pixel_of(rows[row]);
}

// What a plain tile is written with.
typedef struct {
    uint8_t *to;            // its first cell
    floats bias[HALVES];    // of all its pixels; 0 where they differ
    int even;               // whether they do not
    residual other;
} target;

// Write a plain tile, two columns at a time. All 16 pixels are written: what lies beyond the output
// is border, which is filled later.
INLINE void write_tile(const args *a, const conv_args *c, int block, int y, int x, half_done tile,
                       const target *t) {
    for (int i = 0; i < 4; i += 2) {
        i16x8 steps[2][4];
        UNROLL for (int side = 0; side < 2; side++) {
            pixel p[4];
            collect_column(tile, i + side, t->bias, p);
            for (int row = 0; row < 4 && !t->even; row++)
                p[row] = add_pixels(p[row],
                                    load_pixel(bias_of(a, c, block, y + row, x + i + side)));
            if (t->other.at)
                UNROLL for (int row = 0; row < 4; row++)
                    p[row] = add_residual(
                        &t->other,
                        t->other.at + row * (int64_t)c->pitch_residual + (i + side) * CELL, p[row]);
            UNROLL for (int row = 0; row < 4; row++) steps[side][row] = rounded(p[row]);
        }
        uint8_t *to = t->to + i * CELL;
        UNROLL for (int row = 0; row < 4; row++, to += c->pitch_out)
            store_halves(to, to + CELL, narrow_i16(steps[0][row], steps[1][row]));
    }
}

// Write any other tile pixel by pixel.
static void finish_tile(const args *a, const conv_args *c, int block, int y, int x,
                        half_done tile) {
    for (int i = 0; i < 4 && x + i < c->w_out; i++) {
        floats rows[4][HALVES], column[4];
        for (int half = 0; half < HALVES; half++) {
            collect_floats(tile[half][i], column);
            UNROLL for (int row = 0; row < 4; row++) rows[row][half] = column[row];
        }
        for (int row = 0; row < 4 && y + row < c->h_out; row++)
            finish(a, c, block, y + row, x + i, pixel_of(rows[row]));
    }
}

// Whether the 4 x 4 pixels from (y, x) on have the same bias: runs only ever grow.
INLINE int is_even(const args *a, const conv_args *c, int y, int x) {
    const uint32_t *rows = table_of(a, c->row_runs) + y;
    const uint32_t *columns = table_of(a, c->column_runs) + x;
    return !c->row_runs || (rows[0] == rows[3] && columns[0] == columns[3]);
}

// Write n tiles of one block of output channels from pixel (y, x) on. Where biases differ, they do
// so at the border: a tile inside has a single one like any other.
static void write_tiles(const args *a, const conv_args *c, int block, int y, int x, int n,
                        const int32_t *sums) {
    const float *scales = (const float *)(a->memory + c->scales) + block * TAPS * 8;
    target t = {.to = c->floats ? 0 : output_cell(a, c, block, y, x),
                .other = residual_at(a, c, block, y, x)};
    for (int tile = 0; tile < n; tile++, x += 4, sums += 8, t.to += 4 * CELL) {
        half_done done;
        for (int half = 0; half < HALVES; half++)
            collect_rows(sums + half * LANES, scales + half * LANES, done[half]);
        if (!c->plain) {
            finish_tile(a, c, block, y, x, done);
            continue;
        }
        t.even = is_even(a, c, y, x);
        __builtin_memset(t.bias, 0, sizeof t.bias);
        if (t.even) __builtin_memcpy(t.bias, bias_of(a, c, block, y, x), sizeof t.bias);
        write_tile(a, c, block, y, x, done, &t);
        if (t.other.at) t.other.at += 4 * CELL;
    }
}

// Tiles [tile, end) of the row of tiles from y on.
static void tile_row(const args *a, const conv_args *c, int y, int tile, int end) {
    const uint32_t *in = table_of(a, c->in);
    int blocks = (int)c->blocks_in;
    int16_t *transformed = (int16_t *)a->scratch;
    int32_t *sums = (int32_t *)(a->scratch + TAPS * blocks * GROUP * 16);
    const int16_t *weights = (const int16_t *)(a->memory + c->weights);
    for (int n; tile < end; tile += n) {
        n = next_group(end - tile);
        int x = tile * 4, width = width_for(n);
        for (int block = 0; block < blocks; block++)
            transform_tiles(a->memory + in[block] + (y - 1) * (int64_t)c->pitch_in + (x - 1) * CELL,
                            c->pitch_in, n, transformed + block * width * 8, blocks * width * 8);
        for (int block = 0; block < (int)c->blocks_out; block++) {
            multiply(transformed, blocks * width * 8, weights + block * TAPS * blocks * 64, blocks,
                     width, sums, TAPS);
            write_tiles(a, c, block, y, x, n, sums);
        }
    }
}

void conv_winograd(args *a) {
    const conv_args *c = &a->op->conv;
    require(c->kernel_h == 3 && c->kernel_w == 3);
    require(c->h_in == c->h_out && c->w_in == c->w_out);
    int parts = (int)c->parts, tiles = (c->w_out + 3) / 4, size = tiles / parts;
    require(parts == 1 || (tiles % parts == 0 && c->w_out % 4 == 0 && c->h_out % 4 == 0));
    for (int unit; (unit = next_piece(a)) >= 0;) {
        int y = unit / parts * 4, part = unit % parts;
        tile_row(a, c, y, part * size, part * size + size);
        if (part == parts - 1) fill_borders(a, c, y, y + 4);
    }
}
