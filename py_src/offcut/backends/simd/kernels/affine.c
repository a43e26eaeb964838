// Elementwise on u8 planes: a product or sum by channel, normalisation, or limits; and sums of
// whole planes.
//
// u8 out = u8 in * factor + term, with a factor and a term for each of a plane's 16 channels, in
// fixed point with 12 fraction bits: pairs (u8, 128) times (factor, term / 128), one dot for four
// channels. Factors and terms are i16, so |sum| <= 255 * 2^15 + 128 * 2^15 < 2^24. Where a factor
// reaches 8 or a term 1023, there are 6 bits instead. (Shifts by a constant are much faster.)
#include "plane.h"

enum { TERM = 128, FINE = 12, COARSE = 6 };

typedef struct {
    i16x8 pairs[4];  // factor and term of four channels each
    int shift;
} scaling;

static scaling scaling_of(const float *factors, float *terms) {
    float most = 0.0f;
    scaling s = {.shift = FINE};
    for (int i = 0; i < CELL; i++) {
        terms[i] += 0.5f;  // shifting rounds down
        float factor = factors[i] < 0.0f ? -factors[i] : factors[i];
        float term = (terms[i] < 0.0f ? -terms[i] : terms[i]) / TERM;
        most = factor > most ? factor : most;
        most = term > most ? term : most;
    }
    if (most * (float)(1 << FINE) > 32766.0f) s.shift = COARSE;
    float one = (float)(1 << s.shift);
    for (int i = 0; i < 4; i++) {
        f32x4 limit = splat_f32(32767.0f), term = load_f32x4(terms + 4 * i);
        f32x4 factor = load_f32x4(factors + 4 * i) * splat_f32(one);
        term = term * splat_f32(one / TERM);
        i32x4 f = round_f32(max_f32(min_f32(factor, limit), -limit));
        i32x4 t = round_f32(max_f32(min_f32(term, limit), -limit));
        s.pairs[i] = (i16x8)((f & 0xFFFF) | (t << 16));
    }
    return s;
}

INLINE i16x8 scaled_block(const uint8_t *from, i16x8 low, i16x8 high, const int shift) {
    i16x8 x = load_u8_as_i16(from), one = splat_i16(TERM);
    i32x4 first = dot(__builtin_shufflevector(x, one, 0, 8, 1, 9, 2, 10, 3, 11), low);
    i32x4 last = dot(__builtin_shufflevector(x, one, 4, 12, 5, 13, 6, 14, 7, 15), high);
    return narrow_i32(first >> shift, last >> shift);
}

INLINE void scale_cells(const uint8_t *from, uint8_t *to, int n, const scaling *s,
                        const int shift) {
    i16x8 a = s->pairs[0], b = s->pairs[1], c = s->pairs[2], d = s->pairs[3];
    for (int x = 0; x < n; x++, from += CELL, to += CELL)
        store_u8x16(to, narrow_i16(scaled_block(from, a, b, shift),
                                   scaled_block(from + BLOCK, c, d, shift)));
}

static void scale_row(const uint8_t *from, uint8_t *to, int n, const scaling *s) {
    if (s->shift == FINE)
        scale_cells(from, to, n, s, FINE);
    else
        scale_cells(from, to, n, s, COARSE);
}

static scaling channels_of(const args *a, const affine_args *s, int first, int n) {
    float factors[CELL], terms[CELL];
    for (int i = 0; i < CELL; i++) {
        int channel = first + (i < n ? i : 0);
        float factor = 1.0f, term = 0.0f;
        if (s->factors) factor = *(const float *)(a->memory + table_of(a, s->factors)[channel]);
        if (s->terms) term = *(const float *)(a->memory + table_of(a, s->terms)[channel]);
        factors[i] = factor * s->scale;
        terms[i] = factor * s->offset + term * s->steps + s->zero;
    }
    return scaling_of(factors, terms);
}

static void limit_row(const affine_args *s, const uint8_t *from, uint8_t *to) {
    u8x16 least = (u8x16){0} + (uint8_t)s->least, most = (u8x16){0} + (uint8_t)s->most;
    for (int x = 0; x < s->w * CELL; x += CELL)
        store_u8x16(to + x, min_u8(max_u8(load_u8x16(from + x), least), most));
}

INLINE int first_channel(const args *a, const affine_args *s, int plane) {
    int first = 0;
    for (int i = 0; i < plane; i++) first += (int)table_of(a, s->counts)[i];
    return first;
}

// A piece of work is a row of all planes. With `limits`, values only move between least and most,
// and scale and zero point stay.
void affine_u8(const args *a, int ith, int nth) {
    const affine_args *s = &a->op->affine;
    (void)ith;
    for (share w; next_share(a, nth, &w);)
        for (int plane = 0; plane < (int)s->planes; plane++) {
            scaling by = {0};
            uint8_t *out = a->memory + table_of(a, s->out)[plane];
            if (!s->limits)
                by = channels_of(a, s, first_channel(a, s, plane),
                                 (int)table_of(a, s->counts)[plane]);
            for (int y = w.begin; y < w.end; y++) {
                const uint8_t *from = a->memory + table_of(a, s->in)[plane] + y * s->pitch_in;
                uint8_t *to = out + y * s->pitch_out;
                if (s->limits)
                    limit_row(s, from, to);
                else
                    scale_row(from, to, s->w, &by);
                fill_border(out, s->pitch_out, y, s->h, s->w, (uint8_t)s->border);
            }
        }
}

typedef struct {
    double sum[CELL], squares[CELL];  // whole numbers
} moments;

// Of all cells of a plane: 2^23 cells of 255 fit 31 bits, as do fewer than 2^15 squares in a row.
static __attribute__((noinline)) void add_cells(const affine_args *s, const uint8_t *from,
                                                int squared, moments *m) {
    i32x4 sums[4] = {0};
    *m = (moments){0};
    for (int y = 0; y < s->h; y++, from += s->pitch_in) {
        i32x4 squares[4] = {0};
        for (int x = 0; x < s->w; x++)
            UNROLL for (int half = 0; half < 2; half++) {
                i16x8 v = load_u8_as_i16(from + x * CELL + half * BLOCK), q = v * v;
                sums[2 * half] += low_i32(v), sums[2 * half + 1] += high_i32(v);
                if (!squared) continue;
                squares[2 * half] += low_i32(q) & 0xFFFF;  // 255 * 255 fits 16 bits without sign
                squares[2 * half + 1] += high_i32(q) & 0xFFFF;
            }
        for (int i = 0; squared && i < CELL; i++) m->squares[i] += squares[i / 4][i % 4];
    }
    for (int i = 0; i < CELL; i++) m->sum[i] = sums[i / 4][i % 4];
}

// Sums of each channel, as floats: out = (sum - least) * scale, where `least` is what zero points
// add up to. A piece of work is a plane.
void reduce_u8(const args *a, int ith, int nth) {
    const affine_args *s = &a->op->affine;
    (void)ith;
    require(s->w < 1 << 15 && (int64_t)s->h * s->w <= 1 << 23);
    for (share w; next_share(a, nth, &w);)
        for (int plane = w.begin; plane < w.end; plane++) {
            moments m;
            const uint32_t *out = table_of(a, s->out) + first_channel(a, s, plane);
            add_cells(s, a->memory + table_of(a, s->in)[plane], 0, &m);
            for (int i = 0; i < (int)table_of(a, s->counts)[plane]; i++)
                *(float *)(a->memory + out[i]) = (float)(m.sum[i] - s->least) * s->scale;
        }
}

// InstanceNormalization: (x - mean) / sqrt(variance + epsilon) * factor + term, by channel. Means
// and variances of whole numbers are exact. `scale` is the input's, `offset` is epsilon. A piece of
// work is a plane.
void normalize_u8(const args *a, int ith, int nth) {
    const affine_args *s = &a->op->affine;
    double cells = (double)s->h * s->w;
    (void)ith;
    require(s->w < 1 << 15 && (int64_t)s->h * s->w <= 1 << 23);
    for (share w; next_share(a, nth, &w);)
        for (int plane = w.begin; plane < w.end; plane++) {
            int first = first_channel(a, s, plane), n = (int)table_of(a, s->counts)[plane];
            const uint8_t *from = a->memory + table_of(a, s->in)[plane];
            uint8_t *out = a->memory + table_of(a, s->out)[plane];
            float factors[CELL] = {0}, terms[CELL] = {0};
            moments m;
            add_cells(s, from, 1, &m);
            for (int i = 0; i < n; i++) {
                double mean = m.sum[i] / cells, variance = m.squares[i] / cells - mean * mean;
                double deviation = __builtin_sqrt(variance * s->scale * s->scale + s->offset);
                float factor = *(const float *)(a->memory + table_of(a, s->factors)[first + i]);
                float term = *(const float *)(a->memory + table_of(a, s->terms)[first + i]);
                factors[i] = (float)(factor * s->scale * s->steps / deviation);
                terms[i] = term * s->steps + s->zero - (float)mean * factors[i];
            }
            scaling by = scaling_of(factors, terms);
            for (int y = 0; y < s->h; y++) {
                scale_row(from + y * s->pitch_in, out + y * s->pitch_out, s->w, &by);
                fill_border(out, s->pitch_out, y, s->h, s->w, (uint8_t)s->border);
            }
        }
}
