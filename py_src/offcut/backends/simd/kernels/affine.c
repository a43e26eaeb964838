// Sums of u8 planes with factors: by channel, of two values, or normalised; limits; and sums of
// whole planes.
//
//   u8 out = (in * factor + other * second + term) >> 12
//
// in fixed point, with a factor and a term for each of a plane's 16 channels. in and other are
// interleaved, so that one dot gives the sums of four channels. Where there is no other value, it
// is 128 and `second` a part of the term: the other one is too small for i16 then. Factors are i16
// with 12 fraction bits; if one reaches 8 they have 6. Terms are limited to 2^29:
// |sum| <= 2 * 255 * 2^15 + 2^29 < 2^30. (A shift by a constant is much faster than by a variable.)
//
// Two values mostly need no term: lower_affine.py finds what to add to them before, for nothing,
//
//   u8 out = ((in + 256 * high) * factor + (other + 256 * higher) * second) >> 14
//
// since u8 become i16 by getting a high byte. |sum| <= 2 * 2^15 * (2^15 - 1) < 2^31.
#include "plane.h"

enum { FINER = 14, FINE = 12, COARSE = 6, WHOLE = 128 };
enum { BAND = 16 };  // rows; lower_affine.py has the same

typedef struct {
    int16_t pairs[CELL][2];  // factor and second
    int32_t terms[CELL];
    int32_t bits, sums;  // fraction bits; 1: terms are not in `second`
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
    float most = absolute(second), largest = 0.0f;
    for (int i = 0; i < CELL; i++) {
        if (absolute(factors[i]) > most) most = absolute(factors[i]);
        if (absolute(terms[i]) > largest) largest = absolute(terms[i]);
    }
    s->bits = most * (float)(1 << FINE) < 32767.0f ? FINE : COARSE;
    s->sums = second != 0.0f || s->bits == COARSE || largest > 1000.0f;
    float one = (float)(1 << s->bits);
    for (int i = 0; i < CELL; i++) {
        float term = (terms[i] + 0.5f) * one;  // shifting rounds down
        float other = s->sums ? second * one : term / (float)WHOLE;
        s->pairs[i][0] = (int16_t)rounded_within(factors[i] * one, 32767.0f);
        s->pairs[i][1] = (int16_t)rounded_within(other, 32767.0f);
        s->terms[i] = rounded_within(term, 536870912.0f);
    }
}

// Of four channels: the steps of their pairs.
INLINE i32x4 scaled(u8x8 both, i16x8 factors, i32x4 terms, const int sums) {
    i32x4 sum = dot(widen_u8x8(both), factors);
    if (sums) sum += terms;
    return sum >> FINE;
}

// `rows` rows of cells, of n channels.
INLINE void scale_cells(const scaling *s, const affine_args *by, int rows, int n, const uint8_t *in,
                        const uint8_t *other, uint8_t *out, const int sums) {
    i16x8 factors[4];
    i32x4 terms[4];
    u8x16 b = (u8x16){0} + (uint8_t)WHOLE;
    UNROLL for (int i = 0; i < 4; i++) {
        factors[i] = load_i16x8(s->pairs[i * 4]);
        terms[i] = load_i32x4(s->terms + i * 4);
    }
    for (; rows > 0; rows--, in += by->pitch_in, other += by->pitch_in, out += by->pitch_out)
        for (int x = 0; x < by->w * CELL; x += CELL) {
            u8x16 a = load_u8x16(in + x);
            if (sums) b = load_u8x16(other + x);
            u8x16 both = first_pairs(a, b);
            i16x8 first = narrow_i32(scaled(low_u8(both), factors[0], terms[0], sums),
                                     scaled(high_u8(both), factors[1], terms[1], sums));
            i16x8 last = first;
            if (n > BLOCK) {
                both = last_pairs(a, b);
                last = narrow_i32(scaled(low_u8(both), factors[2], terms[2], sums),
                                  scaled(high_u8(both), factors[3], terms[3], sums));
            }
            store_u8x16(out + x, narrow_i16(first, last));
        }
}

// `rows` rows of a plane.
static void scale_rows(const scaling *s, const affine_args *by, int rows, int n, const uint8_t *in,
                       const uint8_t *other, uint8_t *out) {
    if (!s->sums)
        scale_cells(s, by, rows, n, in, other, out, 0);
    else if (s->bits == FINE)
        scale_cells(s, by, rows, n, in, other, out, 1);
    else  // seldom: one by one
        for (; rows > 0; rows--, in += by->pitch_in, other += by->pitch_in, out += by->pitch_out)
            for (int x = 0; x < by->w * CELL; x++) {
                int i = x % CELL, sum = in[x] * s->pairs[i][0] + other[x] * s->pairs[i][1];
                sum = (sum + s->terms[i]) >> COARSE;
                out[x] = (uint8_t)at_least(at_most(sum, 255), 0);
            }
}

// `rows` rows of two values that need no term. joint: i16 [4][2] factors, u8 [8][2] high bytes.
static void join_rows(const uint8_t *joint, const affine_args *by, int rows, const uint8_t *in,
                      const uint8_t *other, uint8_t *out) {
    i16x8 pairs = load_i16x8(joint);
    u8x16 high = load_u8x16(joint + CELL);
    for (; rows > 0; rows--, in += by->pitch_in, other += by->pitch_in, out += by->pitch_out)
        for (int x = 0; x < by->w * CELL; x += CELL) {
            u8x16 a = load_u8x16(in + x), b = load_u8x16(other + x);
            u8x16 first = first_pairs(a, b), last = last_pairs(a, b);
            i32x4 sums[4] = {dot((i16x8)first_pairs(first, high), pairs) >> FINER,
                             dot((i16x8)last_pairs(first, high), pairs) >> FINER,
                             dot((i16x8)first_pairs(last, high), pairs) >> FINER,
                             dot((i16x8)last_pairs(last, high), pairs) >> FINER};
            store_u8x16(out + x, narrow_i16(narrow_i32(sums[0], sums[1]),
                                            narrow_i32(sums[2], sums[3])));
        }
}

static void limit_rows(const affine_args *s, int rows, const uint8_t *in, uint8_t *out) {
    u8x16 least = (u8x16){0} + (uint8_t)s->least, most = (u8x16){0} + (uint8_t)s->most;
    for (; rows > 0; rows--, in += s->pitch_in, out += s->pitch_out)
        for (int x = 0; x < s->w * CELL; x += CELL)
            store_u8x16(out + x, min_u8(max_u8(load_u8x16(in + x), least), most));
}

INLINE int first_channel(const args *a, const affine_args *s, int plane) {
    int first = 0;
    for (int i = 0; i < plane; i++) first += (int)table_of(a, s->counts)[i];
    return first;
}

// The scaling of a plane whose channels are those from `first` on.
static void set_plane(const args *a, const affine_args *s, int first, int n, scaling *by) {
    float factors[CELL] = {0}, terms[CELL] = {0};
    for (int i = 0; i < n; i++) {
        float factor = s->factors ? *float_at(a, s->factors, first + i) : 1.0f;
        float term = s->terms ? *float_at(a, s->terms, first + i) : 0.0f;
        factors[i] = factor * s->scale;
        terms[i] = factor * s->offset + term * s->steps + s->zero;
    }
    set_scaling(by, factors, s->second, terms);
}

// A piece of work is a band of rows of all planes. With `limits`, scale and zero point stay.
// scratch: the scaling of each plane, or one for all of them.
void affine_u8(args *a) {
    const affine_args *s = &a->op->affine;
    const uint32_t *counts = table_of(a, s->counts), *in = table_of(a, s->in);
    const uint32_t *other = s->other ? table_of(a, s->other) : in, *out = table_of(a, s->out);
    scaling *by = (scaling *)a->scratch;
    int step = s->factors || s->terms;
    if (!step) set_plane(a, s, 0, CELL, by);
    for (int plane = 0, first = 0; step && plane < (int)s->planes; first += (int)counts[plane++])
        set_plane(a, s, first, (int)counts[plane], by + plane);
    for (int band; (band = next_piece(a)) >= 0;)
        for (int plane = 0; plane < (int)s->planes; plane++) {
            int y = band * BAND, rows = at_most(BAND, s->h - y);
            const uint8_t *from = a->memory + in[plane] + y * s->pitch_in;
            const uint8_t *with = a->memory + other[plane] + y * s->pitch_in;
            uint8_t *to = a->memory + out[plane] + y * s->pitch_out;
            if (s->limits)
                limit_rows(s, rows, from, to);
            else if (s->joint)
                join_rows(a->memory + s->joint, s, rows, from, with, to);
            else
                scale_rows(by + plane * step, s, rows, (int)counts[plane], from, with, to);
            fill_border(a->memory + out[plane], s->pitch_out, y, rows, s->h, s->w,
                        (uint8_t)s->border);
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
        scale_rows(&by, s, s->h, n, in, in, out);
        fill_border(out, s->pitch_out, 0, s->h, s->h, s->w, (uint8_t)s->border);
    }
}
