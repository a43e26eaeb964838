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
    int width = (int)f->width, m = 0;
    uint32_t rows = f->rows_out;
    for (; m + 16 <= width; m += 16) {
        f32x4 sum[4];
        for (uint32_t t = 0; t < f->count; t++) {
            const float *in = plane + (uint64_t)taps[t * rows] * f->width + m;
            f32x4 w = splat_f32(weights[t * rows]);
            UNROLL
            for (int k = 0; k < 4; k++) {
                f32x4 product = load_f32x4(in + 4 * k) * w;
                sum[k] = t ? sum[k] + product : product;
            }
        }
        for (int k = 0; k < 4; k++) store_f32x4(out + m + 4 * k, sum[k]);
    }
    for (; m < width; m++) {
        float sum = plane[(uint64_t)taps[0] * f->width + m] * weights[0];
        for (uint32_t t = 1; t < f->count; t++)
            sum += plane[(uint64_t)taps[t * rows] * f->width + m] * weights[t * rows];
        out[m] = sum;
    }
}

void filter_rows(args *a) {
    const filter_args *f = &a->op->filter;
    uint32_t rows = f->rows_out, width = f->width;
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
