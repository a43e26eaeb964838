// 3x3 convolution with stride 1 and padding 1 on u8 planes, by Winograd's F(4x4, 3x3) in 16 bits.
//
// A piece of work is a row of tiles: 4 output rows. It goes in groups of n tiles:
//
//   in planes --B^T d B--> transformed  i16 [36][blocks_in][n][8]
//   for each block of 8 output channels:
//       transformed x weights --> sums  i32 [36][n][8]            36 matrix products (gemm.h)
//       sums --A^T m A * scale--> 4 x 4 pixels of each tile --> u8 cells
//
//   weights  i16 [blocks_out][36][blocks_in][4][8][2]
//   scales   f32 [blocks_out][8]    one for each output channel
//
// No sum overflows: pack.c chooses the scales so that sum_c |weight| * limit(tap) * 255 < 2^31 for
// each tap, where limit(tap) * 255 bounds |B^T d B| (winograd.h), and traps if the rounded weights
// break it. Tiles that stick out of the output read the border and are cut when they are written.
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
INLINE void transform_tiles(const uint8_t *in, uint32_t pitch, int n, int16_t *out, int tap_size) {
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

// One half of the channels of a tile, between the two steps of A^T m A.
typedef struct {
    floats taps[4][6];  // [column of pixels][row of taps]
    floats scale;
} half_tile;

// The first step. `bias`, in units of the sums, is added to tap (1, 1), which A^T m A adds to all 16
// pixels with a factor of 1: one addition instead of 16.
INLINE void collect_rows(const int32_t *sums, int n, floats bias, half_tile *half) {
    UNROLL for (int row = 0; row < 6; row++) {
        floats m[6], out[4];
        UNROLL for (int i = 0; i < 6; i++) m[i] = load_sums(sums + (row * 6 + i) * n * 8);
        if (row == 1) m[1] += bias;
        collect_floats(m, out);
        UNROLL for (int i = 0; i < 4; i++) half->taps[i][row] = out[i];
    }
}

// The second step, for the 4 pixels of column x.
INLINE void collect_column(const half_tile halves[HALVES], int x, pixel out[4]) {
    floats rows[4][HALVES];
    UNROLL for (int half = 0; half < HALVES; half++) {
        floats column[4];
        collect_floats(halves[half].taps[x], column);
        UNROLL for (int row = 0; row < 4; row++) rows[row][half] = column[row] * halves[half].scale;
    }
    UNROLL for (int row = 0; row < 4; row++) out[row] = pixel_of(rows[row]);
}

// Write one tile of a plain or extended convolution from pixel (y, x) on, two columns at a time. All
// four columns are written: what lies beyond the output is border, which is filled later.
INLINE void write_tile(const args *a, const conv_args *c, int block, int y, int x,
                       const half_tile halves[HALVES], const int extended) {
    const extension e = extension_at(a, c, block, y, x);
    uint8_t *to = a->memory + table_of(a, c->out)[block] + (int64_t)y * c->pitch_out + x * CELL;
    int rows = c->h_out - y;
    UNROLL for (int i = 0; i < 4; i += 2, to += 2 * CELL) {
        i16x8 steps[2][4];
        UNROLL for (int side = 0; side < 2; side++) {
            pixel pixels[4];
            collect_column(halves, i + side, pixels);
            UNROLL for (int row = 0; row < 4; row++) {
                pixel p = pixels[row];
                if (extended && row < rows) p = extend(a, c, &e, block, y, x, row, i + side, p);
                steps[side][row] = rounded(p);
            }
        }
        UNROLL for (int row = 0; row < 4; row++)
            if (row < rows)
                store_halves(to + row * c->pitch_out, to + row * c->pitch_out + CELL,
                             narrow_i16(steps[0][row], steps[1][row]));
    }
}

static void finish_tile(const args *a, const conv_args *c, int block, int y, int x,
                        const half_tile halves[HALVES]) {
    for (int i = 0; i < 4 && x + i < c->w_out; i++) {
        pixel pixels[4];
        collect_column(halves, i, pixels);
        for (int row = 0; row < 4 && y + row < c->h_out; row++)
            finish(a, c, block, y + row, x + i, pixels[row]);
    }
}

// Write n tiles of one block of output channels from pixel (y, x) on.
static void write_tiles(const args *a, const conv_args *c, int block, int y, int x, int n,
                        const int32_t *sums) {
    const float *scales = (const float *)(a->memory + c->scales) + block * 8;
    const float *bias = (const float *)(a->memory + c->bias) + block * 8;
    int extended = is_extended(c), one_bias = c->plain && !c->row_runs;
    floats in_sums[HALVES];
    half_tile halves[HALVES];
    for (int i = 0; i < HALVES; i++) {
        halves[i].scale = load_floats(scales + i * LANES);
        in_sums[i] = one_bias ? load_floats(bias + i * LANES) / halves[i].scale : (floats){0};
    }
    for (int tile = 0; tile < n; tile++, x += 4) {
        UNROLL for (int i = 0; i < HALVES; i++)
            collect_rows(sums + tile * 8 + i * LANES, n, in_sums[i], &halves[i]);
        if (!c->plain)
            finish_tile(a, c, block, y, x, halves);
        else if (extended)
            write_tile(a, c, block, y, x, halves, 1);
        else
            write_tile(a, c, block, y, x, halves, 0);
    }
}

static void tile_row(const args *a, const conv_args *c, int y) {
    const uint32_t *in = table_of(a, c->in);
    int blocks = (int)c->blocks_in, tiles = (c->w_out + 3) / 4;
    int16_t *transformed = (int16_t *)a->scratch;
    int32_t *sums = (int32_t *)(a->scratch + TAPS * blocks * GROUP * 16);
    const int16_t *weights = (const int16_t *)(a->memory + c->weights);
    for (int tile = 0, n; tile < tiles; tile += n) {
        n = next_group(tiles - tile);
        int x = tile * 4;
        for (int block = 0; block < blocks; block++)
            transform_tiles(a->memory + in[block] + (y - 1) * (int64_t)c->pitch_in + (x - 1) * CELL,
                            c->pitch_in, n, transformed + block * n * 8, blocks * n * 8);
        for (int block = 0; block < (int)c->blocks_out; block++) {
            multiply(transformed, blocks * n * 8, weights + block * TAPS * blocks * 64, blocks, n,
                     sums, TAPS);
            write_tiles(a, c, block, y, x, n, sums);
        }
    }
}

void conv_winograd(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    (void)ith;
    require(c->kernel_h == 3 && c->kernel_w == 3 && c->groups == 1);
    require(c->h_in == c->h_out && c->w_in == c->w_out);
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin; unit < s.end; unit++) {
            tile_row(a, c, unit * 4);
            if (!c->floats) fill_borders(a, c, unit * 4, unit * 4 + 4);
        }
}
