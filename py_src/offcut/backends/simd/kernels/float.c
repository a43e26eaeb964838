// Kernels on float channels f32 [h][w]: the ends of a network, where u8 would be too coarse, and
// whole networks that were never calibrated. Float additions happen in a fixed order, so every
// target and any number of threads give the same bits.
#include "epilogue.h"

// activation(a + b), or of a alone, for one row.
static void elementwise_row(const elementwise_args *e, const float *a, const float *b, float *to) {
    int x = 0;
    for (; x + 4 <= e->w; x += 4) {
        f32x4 v = load_f32x4(a + x);
        if (b) v += load_f32x4(b + x);
        store_f32x4(to + x, activate(v, e->activation));
    }
    for (; x < e->w; x++)
        to[x] = activate(splat_f32(b ? a[x] + b[x] : a[x]), e->activation)[0];
}

// Elementwise on values of one shape. A piece of work is a row of all channels.
void elementwise_float(const args *a, int ith, int nth) {
    const elementwise_args *e = &a->op->elementwise;
    const uint32_t *first = table_of(a, e->a), *out = table_of(a, e->out);
    const uint32_t *second = e->b ? table_of(a, e->b) : 0;
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (uint32_t channel = 0; channel < e->channels; channel++) {
                const float *b = second ? (const float *)(a->memory + second[channel]) : 0;
                elementwise_row(e, (const float *)(a->memory + first[channel]) + y * e->w,
                                b ? b + y * e->w : 0,
                                (float *)(a->memory + out[channel]) + y * e->w);
            }
}

// low + (high - low) * weight: first across, then down, as the operator's definition does it.
// Nearest is the same with weights 0. A piece of work is an output row of all channels.
void resize_float(const args *a, int ith, int nth) {
    const resize_args *r = &a->op->resize;
    const uint32_t *in = table_of(a, r->in), *out = table_of(a, r->out);
    const resize_tap *rows = (const resize_tap *)(a->memory + r->rows);
    const resize_tap *columns = (const resize_tap *)(a->memory + r->columns);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (uint32_t channel = 0; channel < r->planes; channel++) {
                const float *from = (const float *)(a->memory + in[channel]);
                const float *above = from + rows[y].low * r->w_in;
                const float *below = from + rows[y].high * r->w_in;
                float *to = (float *)(a->memory + out[channel]) + y * r->w_out;
                for (int x = 0; x < r->w_out; x++) {
                    int left = columns[x].low, right = columns[x].high;
                    float weight = columns[x].weight;
                    float high = above[left] + (above[right] - above[left]) * weight;
                    float low = below[left] + (below[right] - below[left]) * weight;
                    to[x] = high + (low - high) * rows[y].weight;
                }
            }
}

enum { PIXELS = 8 };

// columns f32 [channels of a group * kernel_h * kernel_w][8] for output pixels (y, x), (y, x+1)...
// Pixels beyond the row are those of its last one.
static void gather(const args *a, const conv_args *c, int group, int y, int x, float *columns) {
    int channels = (int)(c->channels_in / c->groups);
    const uint32_t *in = table_of(a, c->in) + group * channels;
    for (int channel = 0; channel < channels; channel++)
        for (int ky = 0; ky < c->kernel_h; ky++) {
            int from_y = y * c->stride_h - c->pad_top + ky * c->dilation_h;
            const float *row = (const float *)(a->memory + in[channel]) + from_y * c->w_in;
            for (int kx = 0; kx < c->kernel_w; kx++, columns += PIXELS)
                for (int i = 0; i < PIXELS; i++) {
                    int to_x = x + i < c->w_out ? x + i : c->w_out - 1;
                    int from_x = to_x * c->stride_w - c->pad_left + kx * c->dilation_w;
                    int inside = from_y >= 0 && from_y < c->h_in && from_x >= 0 && from_x < c->w_in;
                    columns[i] = inside ? row[from_x] : 0;
                }
        }
}

// n output channels of 8 pixels; weights f32 [channels_out][depth] as the model has them.
INLINE void multiply_floats(const args *a, const conv_args *c, int channel, const int n, int depth,
                            int y, int x, const float *columns) {
    const float *w = (const float *)(a->memory + c->weights) + (int64_t)channel * depth;
    f32x4 sums[4][2];
    UNROLL for (int o = 0; o < n; o++) sums[o][0] = sums[o][1] = splat_f32(0);
    for (int k = 0; k < depth; k++) {
        f32x4 left = load_f32x4(columns + k * PIXELS), right = load_f32x4(columns + k * PIXELS + 4);
        UNROLL for (int o = 0; o < n; o++) {
            f32x4 weight = splat_f32(w[o * depth + k]);
            sums[o][0] += left * weight;
            sums[o][1] += right * weight;
        }
    }
    for (int o = 0; o < n; o++) {
        float *to = (float *)(a->memory + table_of(a, c->out)[channel + o]) + y * c->w_out;
        for (int i = 0; i < PIXELS && x + i < c->w_out; i++) {
            pixel bias = bias_at(a, c, (channel + o) / 8, y, x + i);
            float b = (channel + o) % 8 < 4 ? bias.low[(channel + o) % 4] : bias.high[(channel + o) % 4];
            to[x + i] = activate(sums[o][i / 4] + splat_f32(b), c->activation)[i % 4];
        }
    }
}

// Convolution as a matrix product. A piece of work is an output row; scratch holds the columns.
void conv_float(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    int depth = (int)(c->channels_in / c->groups) * c->kernel_h * c->kernel_w;
    int outputs = (int)(c->channels_out / c->groups);
    float *columns = (float *)a->scratch;
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (int x = 0; x < c->w_out; x += PIXELS)
                for (int group = 0; group < (int)c->groups; group++) {
                    int channel = group * outputs, end = channel + outputs;
                    gather(a, c, group, y, x, columns);
                    for (; channel + 4 <= end; channel += 4)
                        multiply_floats(a, c, channel, 4, depth, y, x, columns);
                    for (; channel < end; channel++)
                        multiply_floats(a, c, channel, 1, depth, y, x, columns);
                }
}
