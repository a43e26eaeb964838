// 3x3 convolution of float channels with stride 1 by Winograd's F(4x4, 3x3): 36 products for 16
// outputs instead of 144 (Lavin and Gray, arXiv:1509.09308).
//
// Four tiles of 4 x 4 outputs side by side, a quad, fill a vector. A piece of work is a panel of
// quads, counted along the rows of quads:
//
//   6 x 20 inputs --B^T d B--> v f32 [36][panel / PIXELS * 4][channels_in][PIXELS]
//   v x weights --> m f32 [36][tiles of the block][4][panel * 4] --A^T m A--> 4 x 16 outputs
//
//   weights  f32 [36][tiles of 4 outputs][channels_in][4]
//
// Outputs are taken in blocks of 64, so that m stays in the cache.
#include "float.h"

enum { TAPS = 36, QUAD = 4, WINDOW = 20, QUADS = PIXELS / QUAD, BLOCK_TILES = 16 };

static __attribute__((noinline)) void turn(f32x4 v[4]) { transpose(v); }

// B^T d. Compiled once, for size, as is the above; likewise the next.
static __attribute__((noinline)) void transform_input(const f32x4 d[6], f32x4 out[6]) {
    f32x4 two = splat_f32(2.0f), four = splat_f32(4.0f), five = splat_f32(5.0f);
    f32x4 even = d[4] - d[2] * four, odd = d[3] - d[1] * four;
    f32x4 near = d[4] - d[2], slope = (d[3] - d[1]) * two;
    out[0] = d[0] * four - d[2] * five + d[4];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = near + slope;
    out[4] = near - slope;
    out[5] = d[1] * four - d[3] * five + d[5];
}

// A^T m
static __attribute__((noinline)) void transform_output(const f32x4 m[6], f32x4 out[4]) {
    f32x4 sum_12 = m[1] + m[2], difference_12 = m[1] - m[2];
    f32x4 sum_34 = m[3] + m[4], difference_34 = m[3] - m[4];
    out[0] = m[0] + sum_12 + sum_34;
    out[1] = difference_12 + difference_34 * splat_f32(2.0f);
    out[2] = sum_12 + sum_34 * splat_f32(4.0f);
    out[3] = difference_12 + (difference_34 * splat_f32(2.0f) + m[5]) * splat_f32(4.0f);
}

// The 6 x 20 inputs from (y, x) on, with zeros where they lie outside; `pitch` tells their rows
// apart.
static const float *window(const float_conv_args *c, const float *plane, int y, int x,
                           float *buffer, int *pitch) {
    if (y >= 0 && y + 6 <= c->h_in && x >= 0 && x + WINDOW <= c->w_in) {
        *pitch = c->w_in;
        return plane + y * c->w_in + x;
    }
    *pitch = WINDOW;
    for (int row = 0; row < 6; row++)
        for (int i = 0; i < WINDOW; i += 4) {
            int inside = y + row >= 0 && y + row < c->h_in, at = x + i;
            const float *from = plane + (y + row) * c->w_in + at;
            float *to = buffer + row * WINDOW + i;
            if (inside && at >= 0 && at + 4 <= c->w_in)
                store_f32x4(to, load_f32x4(from));
            else
                for (int j = 0; j < 4; j++)
                    to[j] = inside && at + j >= 0 && at + j < c->w_in ? from[j] : 0.0f;
        }
    return buffer;
}

// The transformed inputs of one channel and quad; taps lie `step` floats apart.
static void spread_quad(const float *from, int pitch, float *v, int64_t step) {
    f32x4 rows[6][WINDOW / 4];
    for (int i = 0; i < WINDOW / 4; i++) {
        f32x4 d[6], out[6];
        for (int row = 0; row < 6; row++) d[row] = load_f32x4(from + row * pitch + i * 4);
        transform_input(d, out);
        for (int row = 0; row < 6; row++) rows[row][i] = out[row];
    }
    for (int row = 0; row < 6; row++, v += 6 * step) {
        f32x4 d[6], out[6], last = rows[row][4];
        for (int i = 0; i < 4; i++) d[i] = rows[row][i];
        turn(d);  // d[i]: column i of each tile
        d[4] = __builtin_shufflevector(d[0], last, 1, 2, 3, 4);
        d[5] = __builtin_shufflevector(d[1], last, 1, 2, 3, 5);
        transform_input(d, out);
        for (int i = 0; i < 6; i++) store_f32x4(v + i * step, out[i]);
    }
}

// The outputs of one channel and quad, at (y, x); taps of m lie `step` floats apart.
static void collect_quad(const args *a, const float_conv_args *c, int channel, int y, int x,
                         const float *m, int64_t step) {
    f32x4 rows[4][6];
    for (int i = 0; i < 6; i++) {
        f32x4 taps[6], out[4];
        for (int row = 0; row < 6; row++) taps[row] = load_f32x4(m + (row * 6 + i) * step);
        transform_output(taps, out);
        for (int row = 0; row < 4; row++) rows[row][i] = out[row];
    }
    int n = at_most(c->w_out - x, QUAD * 4);
    for (int row = 0; row < 4 && y + row < c->h_out; row++) {
        f32x4 out[4];
        float pixels[QUAD * 4];
        transform_output(rows[row], out);
        turn(out);
        for (int i = 0; i < 4; i++) store_f32x4(pixels + i * 4, out[i]);
        finish_floats(a, c, channel, (y + row) * c->w_out + x, n, pixels);
    }
}

// Transform the inputs of quads [first, first + n), which fill `groups` groups; channel by channel,
// as in conv_float.c.
static void spread(const args *a, const float_conv_args *c, int first, int n, int groups,
                   float *v) {
    int across = (c->w_out + 15) / 16, channels = (int)c->channels_in, pitch;
    int64_t step = (int64_t)groups * channels * PIXELS;
    float buffer[6 * WINDOW];
    for (int channel = 0; channel < channels; channel++) {
        const float *plane = channel_of(a, c->in, channel);
        for (int quad = 0; quad < n; quad++) {
            int y = (first + quad) / across * 4 - c->pad_top;
            int x = (first + quad) % across * 16 - c->pad_left;
            const float *from = window(c, plane, y, x, buffer, &pitch);
            int group = quad / QUADS;
            float *to = v + ((int64_t)group * channels + channel) * PIXELS + quad % QUADS * QUAD;
            spread_quad(from, pitch, to, step);
        }
    }
}

static void multiply_block(const args *a, const float_conv_args *c, int tile, int n, int groups,
                           const float *v, float *m) {
    int channels = (int)c->channels_in, tiles = ((int)c->channels_out + TILE - 1) / TILE;
    const float *weights = (const float *)(a->memory + c->weights);
    for (int tap = 0; tap < TAPS; tap++, v += (int64_t)groups * channels * PIXELS) {
        const float *w = weights + ((int64_t)tap * tiles + tile) * channels * TILE;
        for (int i = 0; i < n; i++, w += channels * TILE, m += groups * TILE * PIXELS)
            multiply_floats(v, channels * PIXELS, w, channels, groups, m);
    }
}

static void multiply_quads(const args *a, const float_conv_args *c, int first, int n, float *v,
                           float *m) {
    int across = (c->w_out + 15) / 16, groups = (n + QUADS - 1) / QUADS;
    int outputs = (int)c->channels_out, tiles = (outputs + TILE - 1) / TILE;
    spread(a, c, first, n, groups, v);
    for (int tile = 0, taken; tile < tiles; tile += taken) {
        taken = at_most(BLOCK_TILES, tiles - tile);
        multiply_block(a, c, tile, taken, groups, v, m);
        int64_t step = (int64_t)taken * groups * TILE * PIXELS;
        for (int o = 0; o < taken * TILE && tile * TILE + o < outputs; o++)
            for (int quad = 0; quad < n; quad++) {
                const float *from = m + o * groups * PIXELS + quad * QUAD;
                int y = (first + quad) / across * 4, x = (first + quad) % across * 16;
                collect_quad(a, c, tile * TILE + o, y, x, from, step);
            }
    }
}

// scratch: v, then m
void conv_float_winograd(args *a) {
    const float_conv_args *c = &a->op->float_conv;
    int quads = (c->w_out + 15) / 16 * ((c->h_out + 3) / 4);
    float *v = (float *)a->scratch, *m = v + (int64_t)TAPS * (int)c->channels_in * c->panel * QUAD;
    require(c->kernel_h == 3 && c->kernel_w == 3 && c->groups == 1 && c->panel % QUADS == 0);
    for (int unit; (unit = next_piece(a)) >= 0;)
        multiply_quads(a, c, unit * c->panel, at_most(c->panel, quads - unit * c->panel), v, m);
}
