// Pooling on u8 planes. A piece of work is an output row of all planes.
//
// Windows are cut at the edge of the input: padding is never the maximum, and is part of an average
// only if the operator says so. Scale and zero point do not change; the border of an output plane
// takes the zero point from the border of its input plane.
//
// Sums of at most 2^15 cells of 255 fit 32 bits (and floats hold them exactly up to 2^24); a mean
// is rounded once. Cells of the padding count as the zero point.
#include "plane.h"

typedef struct {
    int begin, end;  // first and last + 1 of the kernel's positions that lie inside
} span;

// Which positions k of a kernel of `size` lie inside: 0 <= from + k * dilation < limit. Not
// inlined: six copies of it would be a kilobyte.
static __attribute__((noinline)) span inside(int from, int size, int dilation, int limit) {
    span s = {0, size};
    while (s.begin < size && from + s.begin * dilation < 0) s.begin++;
    while (s.end > s.begin && from + (s.end - 1) * dilation >= limit) s.end--;
    return s;
}

static void halve_row(const pool_args *p, const uint8_t *from, uint8_t *to) {
    for (int x = 0; x < p->w_out; x++, from += 2 * CELL, to += CELL) {
        const uint8_t *below = from + p->pitch_in;
        store_u8x16(to, max_u8(max_u8(load_u8x16(from), load_u8x16(from + CELL)),
                               max_u8(load_u8x16(below), load_u8x16(below + CELL))));
    }
}

// The mean of sums; `padding` is what the cells of the padding add.
INLINE u8x16 mean_of(i32x4 sums[4], int padding, int count) {
    f32x4 part = splat_f32(1.0f / (float)count);
    for (int i = 0; i < 4; i++) sums[i] = round_f32(float_of(sums[i] + splat_i32(padding)) * part);
    return narrow_i16(narrow_i32(sums[0], sums[1]), narrow_i32(sums[2], sums[3]));
}

static void pool_row(const pool_args *p, int mean, const uint8_t *in, uint8_t *to, int y) {
    int top = y * p->stride_h - p->pad_top, zero = *border_cell(in, p->pitch_in);
    span rows = inside(top, p->kernel_h, p->dilation_h, p->h_in);
    int all_rows = inside(top + p->pad_top, p->kernel_h, 1, p->h_end + p->pad_top).end;
    for (int x = 0; x < p->w_out; x++, to += CELL) {
        int left = x * p->stride_w - p->pad_left;
        span columns = inside(left, p->kernel_w, p->dilation_w, p->w_in);
        i32x4 sums[4] = {0};
        u8x16 most = {0};
        for (int ky = rows.begin; ky < rows.end; ky++)
            for (int kx = columns.begin; kx < columns.end; kx++) {
                const uint8_t *cell = in + (top + ky * p->dilation_h) * (int64_t)p->pitch_in +
                                      (left + kx * p->dilation_w) * CELL;
                most = max_u8(most, load_u8x16(cell));
                if (!mean) continue;
                i16x8 low = load_u8_as_i16(cell), high = load_u8_as_i16(cell + BLOCK);
                sums[0] += low_i32(low), sums[1] += high_i32(low);
                sums[2] += low_i32(high), sums[3] += high_i32(high);
            }
        if (mean) {
            int cells = (rows.end - rows.begin) * (columns.end - columns.begin), count = cells;
            if (p->count_padding)
                count = all_rows *
                        inside(left + p->pad_left, p->kernel_w, 1, p->w_end + p->pad_left).end;
            most = mean_of(sums, (count - cells) * zero, count);
        }
        store_u8x16(to, most);
    }
}

static void pool_rows(args *a, int mean) {
    const pool_args *p = &a->op->pool;
    const uint32_t *in = table_of(a, p->in), *out = table_of(a, p->out);
    int halving = !mean && is_halving(p) && 2 * p->h_out <= p->h_in && 2 * p->w_out <= p->w_in;
    require(p->kernel_h * p->kernel_w <= 1 << 15);
    for (int y; (y = next_piece(a)) >= 0;)
        for (uint32_t plane = 0; plane < p->planes; plane++) {
            const uint8_t *from = a->memory + in[plane];
            uint8_t *to = a->memory + out[plane], *row = to + y * (int64_t)p->pitch_out;
            if (halving)
                halve_row(p, from + 2 * y * (int64_t)p->pitch_in, row);
            else
                pool_row(p, mean, from, row, y);
            fill_border(to, p->pitch_out, y, 1, p->h_out, p->w_out, *border_cell(from, p->pitch_in));
        }
}

void max_pool(args *a) { pool_rows(a, 0); }
void average_pool(args *a) { pool_rows(a, 1); }
