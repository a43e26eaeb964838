// Resizing of u8 planes, linear and nearest. A piece of work is an output row of all planes.
//
// Each output row and column has two taps, low and high, and the weight of high: Python computes
// them from the operator's definition (nearest is a weight of 0). Weights are integers in 2^-14, so
// everything is exact:
//
//   across:  low * (2^14 - w) + high * w        <= 255 * 2^14, a pair product (dot); >> 7 leaves
//            15 bits, 255 * 2^7 = 32640
//   down:    the same of two such rows          <= 32640 * 2^14 < 2^29, rounded by >> 21
//
// Rows are made of half planes, 8 channels at a time. Scale and zero point do not change, also not
// in the border.
#include "plane.h"

INLINE i16x8 weights_of(int32_t steps) {
    return (i16x8)splat_i32((steps << 16) | (16384 - steps));  // pairs (low, high)
}

// 8 channels between `low` and `high`: sums rounded by `half` and shifted.
INLINE i16x8 between(i16x8 low, i16x8 high, i16x8 weights, const int half, const int shift) {
    i16x8 first = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
    i16x8 second = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
    return narrow_i32((dot(first, weights) + splat_i32(half)) >> shift,
                      (dot(second, weights) + splat_i32(half)) >> shift);
}

INLINE i16x8 across(const uint8_t *row, const resize_tap *tap, i16x8 weights) {
    return between(load_u8_as_i16(row + tap->low * CELL), load_u8_as_i16(row + tap->high * CELL),
                   weights, 0, 7);
}

static void linear_row(const resize_args *r, const uint8_t *low, const uint8_t *high,
                       int32_t steps, const resize_tap *tap, uint8_t *to) {
    for (int x = 0; x < r->w_out; x++, tap++, to += CELL) {
        i16x8 weights = weights_of(tap->steps);
        i16x8 v = between(across(low, tap, weights), across(high, tap, weights), weights_of(steps),
                          1 << 20, 21);
        store_u8x8(to, low_u8(narrow_i16(v, v)));
    }
}

// Twice the size with half-pixel centres: weights are 1/4 and 3/4, so (3 a + b) both ways, and the
// same result as above in 16 bits: 16 * 255 + 8 fits. `near` is the row with weight 3/4; outermost
// rows and columns have no neighbour and stand for it themselves.
static void doubled_row(const resize_args *r, const uint8_t *near, const uint8_t *far,
                        uint8_t *to) {
    i16x8 three = splat_i16(3), here = load_u8_as_i16(near) * three + load_u8_as_i16(far);
    i16x8 last = here;
    for (int x = 0; x < r->w_in; x++, to += 2 * CELL) {
        if (x + 1 < r->w_in) near += CELL, far += CELL;
        i16x8 next = load_u8_as_i16(near) * three + load_u8_as_i16(far);
        i16x8 most = here * three + splat_i16(8);
        store_halves(to, to + CELL, narrow_i16((most + last) >> 4, (most + next) >> 4));
        last = here;
        here = next;
    }
}

void resize_u8(args *a) {
    const resize_args *r = &a->op->resize;
    const uint32_t *in = table_of(a, r->in), *out = table_of(a, r->out);
    const resize_tap *rows = (const resize_tap *)(a->memory + r->rows);
    const resize_tap *columns = (const resize_tap *)(a->memory + r->columns);
    require(!r->doubling || (r->h_out == 2 * r->h_in && r->w_out == 2 * r->w_in));
    for (int y; (y = next_piece(a)) >= 0;)
        for (uint32_t plane = 0; plane < r->planes; plane++) {
            const uint8_t *from = a->memory + in[plane];
            uint8_t *to = a->memory + out[plane], *row = to + y * (int64_t)r->pitch_out;
            const uint8_t *low = from + rows[y].low * (int64_t)r->pitch_in;
            const uint8_t *high = from + rows[y].high * (int64_t)r->pitch_in;
            const uint8_t *near = y % 2 ? low : high, *far = y % 2 ? high : low;
            for (int half = 0; half < CELL; half += BLOCK)
                if (!r->doubling)
                    linear_row(r, low + half, high + half, rows[y].steps, columns, row + half);
                else
                    doubled_row(r, near + half, far + half, row + half);
            fill_border(to, r->pitch_out, y, 1, r->h_out, r->w_out,
                        *border_cell(from, r->pitch_in));
        }
}
