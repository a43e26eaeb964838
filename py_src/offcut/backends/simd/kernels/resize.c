// Resizing of u8 planes, linear and nearest. A piece of work is an output row of all planes.
//
// Each output row and column has two taps, low and high, and the weight of high: Python computes
// them from the operator's definition. Weights are integers in 2^-14, so everything is exact:
//
//   across:  low * (2^14 - w) + high * w        <= 255 * 2^14, a pair product (dot); >> 7 leaves
//            15 bits, 255 * 2^7 = 32640
//   down:    the same of two such rows          <= 32640 * 2^14 < 2^29, rounded by >> 21
//
// Scale and zero point do not change, also not in the border.
#include "plane.h"

INLINE i16x8 weights_of(int32_t steps) {
    return (i16x8)splat_i32((steps << 16) | (16384 - steps));  // pairs (low, high)
}

// Four sums of 4 channels each, between cells `low` and `high`.
INLINE void across(const uint8_t *low, const uint8_t *high, i16x8 weights, i16x8 out[2]) {
    for (int half = 0; half < 2; half++) {
        i16x8 l = load_u8_as_i16(low + half * BLOCK), h = load_u8_as_i16(high + half * BLOCK);
        i16x8 first = __builtin_shufflevector(l, h, 0, 8, 1, 9, 2, 10, 3, 11);
        i16x8 second = __builtin_shufflevector(l, h, 4, 12, 5, 13, 6, 14, 7, 15);
        out[half] = narrow_i32(dot(first, weights) >> 7, dot(second, weights) >> 7);
    }
}

INLINE i16x8 down(i16x8 low, i16x8 high, i16x8 weights) {
    i16x8 first = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
    i16x8 second = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
    i32x4 half = splat_i32(1 << 20);
    return narrow_i32((dot(first, weights) + half) >> 21, (dot(second, weights) + half) >> 21);
}

static void linear_row(const resize_args *r, const uint8_t *low, const uint8_t *high,
                       int32_t steps, const resize_tap *columns, uint8_t *to) {
    i16x8 rows = weights_of(steps);
    for (int x = 0; x < r->w_out; x++, to += CELL) {
        i16x8 weights = weights_of(columns[x].steps), above[2], below[2];
        int l = columns[x].low * CELL, h = columns[x].high * CELL;
        across(low + l, low + h, weights, above);
        across(high + l, high + h, weights, below);
        store_u8x16(to, narrow_i16(down(above[0], below[0], rows), down(above[1], below[1], rows)));
    }
}

// Twice the size with half-pixel centres: weights are 1/4 and 3/4, so (3 a + b) both ways, and the
// same result as above in 16 bits: 16 * 255 + 8 fits. `near` is the row with weight 3/4; outermost
// rows and columns have no neighbour and stand for it themselves.
static void doubled_row(const resize_args *r, const uint8_t *near, const uint8_t *far,
                        uint8_t *to) {
    i16x8 three = splat_i16(3), half = splat_i16(8), last[2], here[2], next[2];
    for (int i = 0; i < 2; i++)
        last[i] = here[i] =
            load_u8_as_i16(near + i * BLOCK) * three + load_u8_as_i16(far + i * BLOCK);
    for (int x = 0; x < r->w_in; x++, to += 2 * CELL) {
        int at = (x + 1 < r->w_in ? x + 1 : x) * CELL;
        i16x8 left[2], right[2];
        for (int i = 0; i < 2; i++) {
            next[i] = load_u8_as_i16(near + at + i * BLOCK) * three +
                      load_u8_as_i16(far + at + i * BLOCK);
            i16x8 most = here[i] * three + half;
            left[i] = (most + last[i]) >> 4;
            right[i] = (most + next[i]) >> 4;
            last[i] = here[i];
            here[i] = next[i];
        }
        store_u8x16(to, narrow_i16(left[0], left[1]));
        store_u8x16(to + CELL, narrow_i16(right[0], right[1]));
    }
}

void resize_linear(const args *a, int ith, int nth) {
    const resize_args *r = &a->op->resize;
    const uint32_t *in = table_of(a, r->in), *out = table_of(a, r->out);
    const resize_tap *rows = (const resize_tap *)(a->memory + r->rows);
    const resize_tap *columns = (const resize_tap *)(a->memory + r->columns);
    (void)ith;
    require(!r->doubling || (r->h_out == 2 * r->h_in && r->w_out == 2 * r->w_in));
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (uint32_t plane = 0; plane < r->planes; plane++) {
                const uint8_t *from = a->memory + in[plane];
                uint8_t *to = a->memory + out[plane], *row = to + y * (int64_t)r->pitch_out;
                const uint8_t *low = from + rows[y].low * (int64_t)r->pitch_in;
                const uint8_t *high = from + rows[y].high * (int64_t)r->pitch_in;
                if (r->doubling && y % 2)
                    doubled_row(r, low, high, row);
                else if (r->doubling)
                    doubled_row(r, y ? high : low, low, row);
                else
                    linear_row(r, low, high, rows[y].steps, columns, row);
                fill_border(to, r->pitch_out, y, r->h_out, r->w_out,
                            *border_cell(from, r->pitch_in));
            }
}

void resize_nearest(const args *a, int ith, int nth) {
    const resize_args *r = &a->op->resize;
    const uint32_t *in = table_of(a, r->in), *out = table_of(a, r->out);
    const resize_tap *rows = (const resize_tap *)(a->memory + r->rows);
    const resize_tap *columns = (const resize_tap *)(a->memory + r->columns);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (uint32_t plane = 0; plane < r->planes; plane++) {
                const uint8_t *from = a->memory + in[plane];
                const uint8_t *row = from + rows[y].low * (int64_t)r->pitch_in;
                uint8_t *to = a->memory + out[plane];
                uint8_t *cells = to + y * (int64_t)r->pitch_out;
                for (int x = 0; x < r->w_out; x++)
                    store_u8x16(cells + x * CELL, load_u8x16(row + columns[x].low * CELL));
                fill_border(to, r->pitch_out, y, r->h_out, r->w_out,
                            *border_cell(from, r->pitch_in));
            }
}
