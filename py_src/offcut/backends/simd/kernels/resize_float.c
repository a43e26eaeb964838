// Resizing of float channels f32 [h][w], and the second half of ConvTranspose.
#include "float.h"

// low + (high - low) * weight along a row
static void across(const resize_args *r, const float *from, const resize_tap *columns, float *to) {
    for (int x = 0; x < r->w_out; x++) {
        float low = from[columns[x].low], high = from[columns[x].high];
        to[x] = low + (high - low) * columns[x].weight;
    }
}

// Input rows that have been resized across, kept since the next output row needs them again.
typedef struct {
    int channel, y;
    float *row;
} kept;

static const float *row_across(const args *a, const resize_args *r, kept *slot, int channel,
                               int y) {
    if (slot->channel == channel && slot->y == y) return slot->row;
    across(r, channel_of(a, r->in, channel) + y * r->w_in,
           (const resize_tap *)(a->memory + r->columns), slot->row);
    slot->channel = channel;
    slot->y = y;
    return slot->row;
}

// First across, then down, as the operator's definition does it. Nearest is the same with weights
// 0. A piece of work is an output row of one channel; scratch holds two rows: even and odd ones.
void resize_float(args *a) {
    const resize_args *r = &a->op->resize;
    const resize_tap *rows = (const resize_tap *)(a->memory + r->rows);
    float *scratch = (float *)a->scratch;
    kept slots[2] = {{-1, 0, scratch}, {-1, 0, scratch + r->w_out}};
    for (int unit; (unit = next_piece(a)) >= 0;) {
            int channel = unit / r->h_out, y = unit % r->h_out, x = 0;
            int high_y = rows[y].weight == 0.0f ? rows[y].low : rows[y].high;
            const float *low = row_across(a, r, &slots[rows[y].low & 1], channel, rows[y].low);
            const float *high = row_across(a, r, &slots[high_y & 1], channel, high_y);
            float *to = channel_of(a, r->out, channel) + y * r->w_out, weight = rows[y].weight;
            for (; x + 8 <= r->w_out; x += 8) {
                f32x8 v = load_f32x8(low + x);
                store_f32x8(to + x, v + (load_f32x8(high + x) - v) * splat_f32x8(weight));
            }
            for (; x < r->w_out; x++) to[x] = low[x] + (high[x] - low[x]) * weight;
        }
}

// ConvTranspose after a 1x1 convolution has made the products of every kernel position: add each
// to its place. in: channels [channels_out][kernel_h][kernel_w] of f32 [h_in][w_in]. A piece of
// work is an output row of one channel.
void spread_float(args *a) {
    const float_conv_args *c = &a->op->float_conv;
    const float *bias = (const float *)(a->memory + c->bias);
    for (int unit; (unit = next_piece(a)) >= 0;) {
            int channel = unit / c->h_out, y = unit % c->h_out, stride = c->stride_w;
            float *to = channel_of(a, c->out, channel) + y * c->w_out;
            for (int x = 0; x < c->w_out; x++) to[x] = bias[channel];
            for (int ky = 0; ky < c->kernel_h; ky++) {
                int down = y + c->pad_top - ky * c->dilation_h;
                if (down < 0 || down % c->stride_h || down / c->stride_h >= c->h_in) continue;
                for (int kx = 0; kx < c->kernel_w; kx++) {
                    int first = kx * c->dilation_w - c->pad_left;  // where input column 0 goes
                    int tap = (channel * c->kernel_h + ky) * c->kernel_w + kx;
                    const float *from = channel_of(a, c->in, tap) + down / c->stride_h * c->w_in;
                    int x = first < 0 ? (-first + stride - 1) / stride : 0;
                    int end = stride == 1 ? at_most(c->w_in, c->w_out - first) - 3 : 0;
                    for (; x < end; x += 4)
                        store_f32x4(to + first + x,
                                    load_f32x4(to + first + x) + load_f32x4(from + x));
                    for (; x < c->w_in && first + x * stride < c->w_out; x++)
                        to[first + x * stride] += from[x];
                }
            }
        }
}
