// 3x3 convolution with stride 1 and padding 1 on u8 planes, by Winograd's F(4x4, 3x3) in 16 bits.
//
// A piece of work is a row of tiles, 4 output rows, or a part of it where no tile sticks out of the
// output. It goes in groups of n tiles:
//
//   in planes --B^T d B--> transformed  i16 [36][blocks_in][n][8]
//   for each block of 8 output channels:
//       transformed x weights --> sums  i32 [36][GROUP][8]        36 matrix products (gemm.h)
//       sums --A^T m A--> 4 x 4 pixels of each tile, * scale --> u8 cells
//
//   weights  i16 [blocks_out][36][blocks_in][4][8][2]
//   plain    fractions i16 [blocks_out][8], bias i32
//   else     scales f32 [blocks_out][8], bias f32
//
// A plain result stays in integers, of which there can be twice as many at a time as of floats:
// both steps of A^T m A in 32 bits, which may wrap around before the end, when the sums fit; then
// 16 bits, at first finer than u8 steps by what `fractions` take back. See pack.c for all of that.
// Any other is made of floats from the second step on.
// Tiles that stick out of the output read the border and are cut when they are written.
#include "epilogue.h"
#include "gemm.h"
#include "winograd.h"

#if defined(__AVX2__)
enum { HALVES = 1, LANES = 8 };
#else
enum { HALVES = 2, LANES = 4 };
#endif
typedef VECTOR(float, LANES * 4) floats;
typedef VECTOR(int32_t, LANES * 4) integers;
typedef VECTOR(uint32_t, LANES * 4) words;
DEFINE_COLLECT(floats)
DEFINE_COLLECT(words)

// Two halves of 8 channels, each in a vector of its own.
#if defined(__AVX2__)
#define FIRST(v) __builtin_shufflevector(v[0], v[0], 0, 1, 2, 3)
#define LAST(v) __builtin_shufflevector(v[0], v[0], 4, 5, 6, 7)
#else
#define FIRST(v) v[0]
#define LAST(v) v[1]
#endif

INLINE floats load_floats(const float *from) {
    floats v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
INLINE words load_words(const int32_t *from) {
    words v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}

// B^T d B of n tiles of one block of channels. `in` is the cell above and to the left of the first
// output pixel; tiles are 4 pixels apart and share two columns with the next one.
static void transform_tiles(const uint8_t *in, uint32_t pitch, int knee, int n, int16_t *out,
                            int tap_size) {
    i16x8 columns[(4 * GROUP + 2) * 6];  // [column][6 rows]
    for (int x = 0; x < 4 * n + 2; x++, in += CELL) {
        i16x8 d[6];
        if (knee == WIDE) {
            UNROLL for (int i = 0; i < 6; i++) d[i] = load_i16x4(in + (uint32_t)i * pitch);
        } else {
            UNROLL for (int i = 0; i < 6; i++) d[i] = load_u8_as_i16(in + (uint32_t)i * pitch);
            if (knee != LINEAR) UNROLL for (int i = 0; i < 6; i++) d[i] = unbend(d[i], knee);
        }
        transform_6(d[0], d[1], d[2], d[3], d[4], d[5], columns + x * 6, 1);
    }
    for (int row = 0; row < 6; row++) {
        const i16x8 *d = columns + row;
        i16x8 *to = (i16x8 *)(out + row * 6 * tap_size);
        for (int tile = 0; tile < n; tile++, d += 24)
            transform_6(d[0], d[6], d[12], d[18], d[24], d[30], to + tile, tap_size / 8);
    }
}

// A tile between the two steps of A^T m A: [half of the channels][column of pixels][row of taps].
typedef words half_done[HALVES][4][6];

// The first step, for one half of the channels.
INLINE void collect_rows(const int32_t *from, words out[4][6]) {
    for (int row = 0; row < 6; row++, from += 6 * GROUP * 8) {
        words m[6], pixels[4];
        UNROLL for (int i = 0; i < 6; i++) m[i] = load_words(from + i * GROUP * 8);
        collect_words(m, pixels);
        UNROLL for (int i = 0; i < 4; i++) out[i][row] = pixels[i];
    }
}

// The second step, for the 4 pixels of column x, to 16 bits. Row 1 of the taps goes into all of
// them with a factor of 1, and so does a bias that is added to it; others are added to each of them,
// from own[row].
INLINE void collect_column(half_done tile, int x, const words bias[HALVES],
                           const int32_t *const own[4], i16x8 out[4]) {
    integers rows[4][HALVES];
    UNROLL for (int half = 0; half < HALVES; half++) {
        words m[6], column[4];
        UNROLL for (int i = 0; i < 6; i++) m[i] = tile[half][x][i];
        m[1] += bias[half];
        collect_words(m, column);
        if (own)
            UNROLL for (int row = 0; row < 4; row++)
                column[row] += load_words(own[row] + half * LANES);
        UNROLL for (int row = 0; row < 4; row++)
            rows[row][half] = (integers)column[row] >> FINE_BITS;
    }
    UNROLL for (int row = 0; row < 4; row++)
        out[row] = narrow_i32(FIRST(rows[row]), LAST(rows[row]));
}

// What plain tiles of a block are written with.
typedef struct {
    uint8_t *to;           // a tile's first cell
    i16x8 fractions;       // 2^-15 of a step, or of a part of one, in what is left of the sums
    words bias[HALVES];    // of all pixels of even tiles
    const uint8_t *other;  // a tile's first cell of the residual, 0 for none
    i16x8 factors, least;  // of the residual; of what it is added to
    int knee;              // of the residual
} target;

// Whether the 4 x 4 pixels from (y, x) on have the same bias, which is then that of cell (1, 1):
// where biases differ, they do so in the first and last rows and columns.
INLINE int is_even(const conv_args *c, int y, int x) {
    return !c->row_runs || (y > 0 && y + 4 < c->h_out && x > 0 && x + 4 < c->w_out);
}

// Add a cell of the residual, in parts of a step, and come to whole steps.
INLINE i16x8 add_cell(const target *t, const uint8_t *cell, i16x8 v) {
    i16x8 other = unbend(load_u8_as_i16(cell), t->knee) << OTHER_BITS;
    return add_saturated(max_i16(v, t->least), fraction_i16(other, t->factors)) >> PART_BITS;
}

// Write a plain tile. All 16 pixels are written: what lies beyond the output is border, which is
// filled later.
INLINE void write_tile(const args *a, const conv_args *c, int block, int y, int x, half_done tile,
                       const target *t) {
    i16x8 steps[4][4];  // [column][row]
    const words none[HALVES] = {0};
    int even = is_even(c, y, x);
    for (int i = 0; i < 4; i++) {
        const int32_t *own[4];
        for (int row = 0; !even && row < 4; row++)
            own[row] = (const int32_t *)bias_of(a, c, block, y + row, x + i);
        collect_column(tile, i, even ? t->bias : none, even ? 0 : own, steps[i]);
        UNROLL for (int row = 0; row < 4; row++)
            steps[i][row] = fraction_i16(steps[i][row], t->fractions);
        if (t->other)
            UNROLL for (int row = 0; row < 4; row++)
                steps[i][row] = add_cell(t, t->other + row * (int64_t)c->pitch_residual + i * CELL,
                                         steps[i][row]);
    }
    if (c->bent)
        for (int i = 0; i < 4; i++)
            for (int row = 0; row < 4; row++) steps[i][row] = bend(steps[i][row]);
    uint8_t *to = t->to;
    for (int row = 0; row < 4; row++, to += c->pitch_out)
        UNROLL for (int i = 0; i < 4; i += 2)
            store_halves(to + i * CELL, to + i * CELL + CELL,
                         narrow_i16(steps[i][row], steps[i + 1][row]));
}

// Write any other tile pixel by pixel.
static void finish_tile(const args *a, const conv_args *c, int block, int y, int x,
                        half_done tile) {
    const float *scales = (const float *)(a->memory + c->scales) + block * 8;
    for (int i = 0; i < 4 && x + i < c->w_out; i++) {
        floats rows[4][HALVES], m[6], column[4];
        for (int half = 0; half < HALVES; half++) {
            for (int row = 0; row < 6; row++)
                m[row] = __builtin_convertvector((integers)tile[half][i][row], floats);
            collect_floats(m, column);
            floats scale = load_floats(scales + half * LANES);
            UNROLL for (int row = 0; row < 4; row++) rows[row][half] = column[row] * scale;
        }
        for (int row = 0; row < 4 && y + row < c->h_out; row++)
            finish(a, c, block, y + row, x + i, (pixel){FIRST(rows[row]), LAST(rows[row])});
    }
}

static target target_of(const args *a, const conv_args *c, int block, int y, int x) {
    residual r = residual_at(a, c, block, y, x);
    target t = {.to = output_cell(a, c, block, y, x), .other = r.at, .knee = r.knee};
    const int32_t *bias = (const int32_t *)bias_of(a, c, block, 1, 1);
    t.fractions = load_i16x8((const int16_t *)(a->memory + c->scales) + block * 8);
    t.factors = load_i16x8((const int16_t *)(a->memory + c->residual_scales) + block * 8);
    t.least = splat_i16((int16_t)c->residual_floor);
    for (int half = 0; half < HALVES; half++) t.bias[half] = load_words(bias + half * LANES);
    return t;
}

// Write n tiles of one block of output channels from pixel (y, x) on.
static void write_tiles(const args *a, const conv_args *c, int block, int y, int x, int n,
                        const int32_t *sums) {
    target t = {0};
    if (c->plain) t = target_of(a, c, block, y, x);
    for (int tile = 0; tile < n; tile++, x += 4, sums += 8, t.to += 4 * CELL) {
        half_done done;
        for (int half = 0; half < HALVES; half++) collect_rows(sums + half * LANES, done[half]);
        if (c->plain)
            write_tile(a, c, block, y, x, done, &t);
        else
            finish_tile(a, c, block, y, x, done);
        if (t.other) t.other += 4 * CELL;
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
                            c->pitch_in, knee_of(a, c, block), n,
                            transformed + block * width * 8, blocks * width * 8);
        for (int block = 0; block < (int)c->blocks_out; block++) {
            multiply(transformed, blocks * width * 8, weights + block * TAPS * blocks * 64, blocks,
                     (int)c->pairs, width, sums, TAPS);
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
