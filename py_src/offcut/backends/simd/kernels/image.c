// The one filter that all resampling of pictures consists of; imaging/resample.py defines it:
//
//     out[c][o][m] = sum over t, in order, of in[c][taps[t][o]][m] * weights[t][o]
//
// in is f32 [planes][rows_in][width], out f32 [planes][rows_out][width], or [planes][width][rows_out]
// if `turned`: a picture is resampled along both axes by two such ops. A piece of work is one row of
// the result. Products and sums are separate, in this order, so that numpy gives the same bits.
#include "program.h"
#include "vector.h"

static void filter_row(const filter_args *f, const float *plane, const uint32_t *taps,
                       const float *weights, float *out) {
    uint32_t rows = f->rows_out, width = f->width;
    for (uint32_t m = 0; m < width; m += 4) {
        uint32_t from = m + 4 <= width ? m : width - 4;  // the last four, some of them again
        f32x4 sum = {0};
        for (uint32_t t = 0; t < f->count; t++) {
            const float *in = plane + (uint64_t)taps[t * rows] * width + from;
            f32x4 product = load_f32x4(in) * splat_f32(weights[t * rows]);
            sum = t ? sum + product : product;
        }
        store_f32x4(out + from, sum);
    }
}

void filter_rows(args *a) {
    const filter_args *f = &a->op->filter;
    uint32_t rows = f->rows_out, width = f->width;
    require(width >= 4);
    for (int piece; (piece = next_piece(a)) >= 0;) {
        uint32_t c = (uint32_t)piece / rows, o = (uint32_t)piece % rows;
        const float *plane = (const float *)(a->memory + f->in) + (uint64_t)c * f->rows_in * width;
        float *out = (float *)(a->memory + f->out) + (uint64_t)c * rows * width;
        float *row = f->turned ? (float *)a->scratch : out + (uint64_t)o * width;
        filter_row(f, plane, (const uint32_t *)(a->memory + f->taps) + o,
                   (const float *)(a->memory + f->weights) + o, row);
        if (!f->turned) continue;
        for (uint32_t m = 0; m < width; m++) out[(uint64_t)m * rows + o] = row[m];
    }
}
