// The one filter that all resampling of pictures consists of; imaging/resample.py defines it:
//
//     out[c][m][o] = sum over t, in order, of in[c][taps[t][o]][m] * weights[t][o]
//
// in is f32 [planes][rows_in][width], out f32 [planes][width][rows_out]: filtered along the rows and
// turned, so that two such ops filter along both axes. A piece of work is LINE rows of the result of
// a plane, which fill whole cache lines when they are turned. Products and sums are separate, in this
// order, so that numpy gives the same bits.
#include "program.h"
#include "vector.h"

enum { LINE = 16 };

// o: which row of the result
static void filter_row(const filter_args *f, const uint8_t *memory, const float *plane, uint32_t o,
                       float *out) {
    uint32_t rows = f->rows_out, width = f->width;
    const uint32_t *taps = (const uint32_t *)(memory + f->taps) + o;
    const float *weights = (const float *)(memory + f->weights) + o;
    for (uint32_t m = 0; m < width; m += 8) {
        uint32_t from = m + 8 <= width ? m : width - 8;  // the last eight, some of them again
        f32x4 low = {0}, high = {0};
        for (uint32_t t = 0; t < f->count; t++) {
            const float *in = plane + (uint64_t)taps[t * rows] * width + from;
            f32x4 weight = splat_f32(weights[t * rows]);
            f32x4 first = load_f32x4(in) * weight, second = load_f32x4(in + 4) * weight;
            low = t ? low + first : first;
            high = t ? high + second : second;
        }
        store_f32x4(out + from, low);
        store_f32x4(out + from + 4, high);
    }
}

void filter_rows(args *a) {
    const filter_args *f = &a->op->filter;
    uint32_t rows = f->rows_out, width = f->width, pieces = (rows + LINE - 1) / LINE;
    float *kept = (float *)a->scratch;  // [LINE][width]
    require(width >= 8);
    for (int piece; (piece = next_piece(a)) >= 0;) {
        uint32_t c = (uint32_t)piece / pieces, o = (uint32_t)piece % pieces * LINE;
        uint32_t count = rows - o < LINE ? rows - o : LINE;
        const float *plane = (const float *)(a->memory + f->in) + (uint64_t)c * f->rows_in * width;
        float *out = (float *)(a->memory + f->out) + (uint64_t)c * rows * width + o;
        for (uint32_t r = 0; r < count; r++)
            filter_row(f, a->memory, plane, o + r, kept + (uint64_t)r * width);
        for (uint32_t m = 0; m < width; m++)
            for (uint32_t r = 0; r < count; r++)
                out[(uint64_t)m * rows + r] = kept[(uint64_t)r * width + m];
    }
}
