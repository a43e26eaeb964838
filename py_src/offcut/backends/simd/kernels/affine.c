// Sums of u8 planes with factors: by channel, of two values, normalised, or within limits; and sums
// of whole planes.
//
//   u8 out = (in * factor + other * second + term) >> 12, between least and most
//
// in fixed point, with a factor and a term for each of a plane's 16 channels. in and other are
// interleaved, so that one dot gives the sums of four channels; where there is no other value, it is
// `in` and `second` is 0. Factors are i16 with 12 fraction bits; if one reaches 8 they have fewer, at
// least 6, and the inputs are multiplied by 2 for each: |in * factor| <= 255 * 64 * 2^15 < 2^29. Terms
// are limited to 2^29, so |sum| < 3 * 2^29 < 2^31. (A shift by a constant is much faster than by a variable.)
#include "plane.h"

enum { BITS = 12 };

typedef struct {
    int16_t pairs[CELL][2];  // factor and second
    int32_t terms[CELL];
    int32_t widening;  // of the inputs: a power of 2
} scaling;

INLINE float absolute(float v) { return v < 0.0f ? -v : v; }
INLINE const float *float_at(const args *a, uint32_t table, int channel) {
    return (const float *)(a->memory + table_of(a, table)[channel]);
}

static int32_t rounded_within(float v, float most) {
    v = v > most ? most : v < -most ? -most : v;
    return (int32_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
}

static void set_scaling(scaling *s, const float factors[CELL], float second,
                        const float terms[CELL]) {
    float most = absolute(second);
    for (int i = 0; i < CELL; i++)
        if (absolute(factors[i]) > most) most = absolute(factors[i]);
    float one = (float)(1 << BITS);
    for (s->widening = 1; s->widening < 64 && most * one >= 32767.0f; s->widening *= 2) one *= 0.5f;
    for (int i = 0; i < CELL; i++) {
        s->pairs[i][0] = (int16_t)rounded_within(factors[i] * one, 32767.0f);
        s->pairs[i][1] = (int16_t)rounded_within(second * one, 32767.0f);
        // Shifting rounds down, so half a step is added.
        s->terms[i] = rounded_within((terms[i] + 0.5f) * (float)(1 << BITS), 536870912.0f);
    }
}

// Four channels of a cell.
INLINE i32x4 scaled(i16x8 pairs, i16x8 factors, i32x4 terms) {
    return (dot(pairs, factors) + terms) >> BITS;
}

// A row of w cells, those of its half planes that hold n channels.
static void scale_row(const affine_args *s, const scaling *by, int n, const uint8_t *in,
                      const uint8_t *other, uint8_t *out) {
    u8x16 least = (u8x16){0} + (uint8_t)s->least, most = (u8x16){0} + (uint8_t)s->most;
    i16x8 widening = splat_i16((int16_t)by->widening);
    for (int half = 0; half < n; half += BLOCK) {
        i16x8 low = load_i16x8(by->pairs[half]), high = load_i16x8(by->pairs[half + 4]);
        i32x4 low_terms = load_i32x4(by->terms + half);
        i32x4 high_terms = load_i32x4(by->terms + half + 4);
        for (int x = half; x < s->w * CELL; x += CELL) {
            i16x8 a = load_u8_as_i16(in + x) * widening, b = load_u8_as_i16(other + x) * widening;
            i16x8 v = narrow_i32(
                scaled(__builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11), low, low_terms),
                scaled(__builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15), high, high_terms));
            store_u8x8(out + x, low_u8(min_u8(max_u8(narrow_i16(v, v), least), most)));
        }
    }
}

INLINE int first_channel(const args *a, const affine_args *s, int plane) {
    int first = 0;
    for (int i = 0; i < plane; i++) first += (int)table_of(a, s->counts)[i];
    return first;
}

// A piece of work is a row of all planes. With `limits`, scale and zero point stay. scratch: the
// scaling of each plane.
void affine_u8(args *a) {
    const affine_args *s = &a->op->affine;
    const uint32_t *counts = table_of(a, s->counts), *in = table_of(a, s->in);
    const uint32_t *other = s->other ? table_of(a, s->other) : in, *out = table_of(a, s->out);
    scaling *by = (scaling *)a->scratch;
    for (int plane = 0, first = 0; plane < (int)s->planes; first += (int)counts[plane++]) {
        float factors[CELL] = {0}, terms[CELL] = {0};
        for (int i = 0; i < (int)counts[plane]; i++) {
            float factor = s->factors ? *float_at(a, s->factors, first + i) : 1.0f;
            float term = s->terms ? *float_at(a, s->terms, first + i) : 0.0f;
            factors[i] = factor * s->scale;
            terms[i] = factor * s->offset + term * s->steps + s->zero;
        }
        set_scaling(by + plane, factors, s->second, terms);
    }
    for (int y; (y = next_piece(a)) >= 0;)
        for (int plane = 0; plane < (int)s->planes; plane++) {
            scale_row(s, by + plane, (int)counts[plane], a->memory + in[plane] + y * s->pitch_in,
                      a->memory + other[plane] + y * s->pitch_in,
                      a->memory + out[plane] + y * s->pitch_out);
            fill_border(a->memory + out[plane], s->pitch_out, y, s->h, s->w, (uint8_t)s->border);
        }
}

typedef struct {
    double sum[CELL], squares[CELL];  // whole numbers
} moments;

// Of the n channels in a plane. 2^23 cells of 255 fit 31 bits, as do 2^15 squares in a row.
static void add_cells(const args *a, const affine_args *s, int plane, int n, int squared,
                      moments *m) {
    int32_t added[BLOCK];
    *m = (moments){0};
    require(s->w <= 1 << 15 && (int64_t)s->h * s->w <= 1 << 23);
    for (int half = 0; half < n; half += BLOCK) {
        const uint8_t *row = a->memory + table_of(a, s->in)[plane] + half;
        i32x4 low = splat_i32(0), high = splat_i32(0);
        for (int y = 0; y < s->h; y++, row += s->pitch_in) {
            i32x4 low_squares = splat_i32(0), high_squares = splat_i32(0);
            for (int x = 0; x < s->w * CELL; x += CELL) {
                i16x8 v = load_u8_as_i16(row + x), square = v * v;
                low += low_i32(v), high += high_i32(v);
                if (!squared) continue;
                low_squares += low_i32(square) & 0xFFFF;  // 255 * 255 fits 16 bits without sign
                high_squares += high_i32(square) & 0xFFFF;
            }
            store_i32x4(added, low_squares), store_i32x4(added + 4, high_squares);
            for (int i = 0; squared && i < BLOCK; i++) m->squares[half + i] += added[i];
        }
        store_i32x4(added, low), store_i32x4(added + 4, high);
        for (int i = 0; i < BLOCK; i++) m->sum[half + i] = added[i];
    }
}

// Sums of each channel, as floats: out = (sum - least) * scale, where `least` is what zero points
// add up to. A piece of work is a plane.
void reduce_u8(args *a) {
    const affine_args *s = &a->op->affine;
    for (int plane; (plane = next_piece(a)) >= 0;) {
        moments m;
        int n = (int)table_of(a, s->counts)[plane], first = first_channel(a, s, plane);
        add_cells(a, s, plane, n, 0, &m);
        for (int i = 0; i < n; i++)
            *(float *)(a->memory + table_of(a, s->out)[first + i]) =
                (float)(m.sum[i] - s->least) * s->scale;
    }
}

// InstanceNormalization: (x - mean) / sqrt(variance + epsilon) * factor + term, by channel. Means
// and variances of whole numbers are exact. `scale` is the input's, `offset` is epsilon. A piece of
// work is a plane.
void normalize_u8(args *a) {
    const affine_args *s = &a->op->affine;
    double cells = (double)s->h * s->w;
    for (int plane; (plane = next_piece(a)) >= 0;) {
        int first = first_channel(a, s, plane), n = (int)table_of(a, s->counts)[plane];
        const uint8_t *in = a->memory + table_of(a, s->in)[plane];
        uint8_t *out = a->memory + table_of(a, s->out)[plane];
        float factors[CELL] = {0}, terms[CELL] = {0};
        moments m;
        scaling by;
        add_cells(a, s, plane, n, 1, &m);
        for (int i = 0; i < n; i++) {
            double mean = m.sum[i] / cells, variance = m.squares[i] / cells - mean * mean;
            double deviation = __builtin_sqrt(variance * s->scale * s->scale + s->offset);
            float factor = *float_at(a, s->factors, first + i);
            factors[i] = (float)(factor * s->scale * s->steps / deviation);
            terms[i] = *float_at(a, s->terms, first + i) * s->steps + s->zero -
                       (float)mean * factors[i];
        }
        set_scaling(&by, factors, 0.0f, terms);
        for (int y = 0; y < s->h; y++, in += s->pitch_in) {
            scale_row(s, &by, n, in, in, out + y * s->pitch_out);
            fill_border(out, s->pitch_out, y, s->h, s->w, (uint8_t)s->border);
        }
    }
}
