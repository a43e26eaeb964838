// Spread the colours of subject and background from where they are pure. imaging/foreground.py
// defines the result; sums and products come in the same order here, so that numpy gives the same
// bits. A pyramid of weighted means, read from coarse to fine:
//
//     level 0 (in `out` itself), level 1, ... (in scratch): cell [high][wide] each, half as large
//
// A cell of a level becomes the colours found there, in place, once the next level has its own.
#include "program.h"
#include "vector.h"

enum { COARSEST = 8, TRUST = 4, MOST_LEVELS = 32 };

typedef struct {
    f32x4 v[2];  // of subject and background: red, green, blue, each times the weight; the weight
} cell;

typedef struct {
    cell *cells;
    uint32_t high, wide;
} level;

// a * p + b * q
static cell mixed(const cell *a, float p, const cell *b, float q) {
    cell mixture;
    UNROLL for (int k = 0; k < 2; k++)
        mixture.v[k] = a->v[k] * splat_f32(p) + b->v[k] * splat_f32(q);
    return mixture;
}

// 0 to 255, alpha too -> the finest level: a colour counts by the eighth power of its share.
static void weigh(const float *in, level to) {
    uint32_t size = to.high * to.wide;
    for (uint32_t i = 0; i < size; i++) {
        float alpha = in[3 * size + i] * (1.0f / 255), shares[2] = {alpha, 1 - alpha};
        f32x4 colour = {in[i], in[size + i], in[2 * size + i], 1};
        UNROLL for (int k = 0; k < 2; k++) {
            float x = shares[k];
            x = x * x, x = x * x, x = x * x;
            to.cells[i].v[k] = colour * splat_f32(x);
        }
    }
}

// The mean of 2x2 cells; an odd border counts as repeated. row: room for a row of `from`.
static void halve(level from, level to, cell *row) {
    for (uint32_t y = 0; y < to.high; y++) {
        const cell *upper = from.cells + (uint64_t)2 * y * from.wide;
        const cell *lower = 2 * y + 1 < from.high ? upper + from.wide : upper;
        for (uint32_t x = 0; x < from.wide; x++) row[x] = mixed(upper + x, 0.5f, lower + x, 0.5f);
        for (uint32_t x = 0; x < to.wide; x++) {
            const cell *left = row + 2 * x, *right = 2 * x + 1 < from.wide ? left + 1 : left;
            to.cells[y * to.wide + x] = mixed(left, 0.5f, right, 0.5f);
        }
    }
}

// Colours from what is weighted.
static cell mean_colours(cell c) {
    UNROLL for (int k = 0; k < 2; k++) {
        float weight = c.v[k][3] > 1e-20f ? c.v[k][3] : 1e-20f;
        c.v[k] = c.v[k] / splat_f32(weight);
    }
    return c;
}

static cell mean_of_all(level of) {
    cell total = {0};
    for (uint32_t x = 0; x < of.wide; x++) {
        cell column = of.cells[x];
        for (uint32_t y = 1; y < of.high; y++)
            column = mixed(&column, 1, of.cells + y * of.wide + x, 1);
        total = x ? mixed(&total, 1, &column, 1) : column;
    }
    return mean_colours(total);
}

// Which of `few` samples lies before sample i of `many`, and how far beyond it that lies.
static uint32_t place(uint32_t i, uint32_t few, uint32_t many, float *part) {
    double at = ((double)i + 0.5) * ((double)few / many) - 0.5;
    at = at < 0 ? 0 : at > few - 1 ? few - 1 : at;
    uint32_t low = (uint32_t)at;
    if (few > 1 && low > few - 2) low = few - 2;
    *part = (float)(at - low);
    return low;
}

// The colours of `fine` from its own weighted ones and those of `coarse`, enlarged bilinearly.
static void fill(level coarse, level fine, cell *row) {
    for (uint32_t y = 0; y < fine.high; y++) {
        float down, right;
        const cell *upper = coarse.cells + place(y, coarse.high, fine.high, &down) * coarse.wide;
        const cell *lower = coarse.high > 1 ? upper + coarse.wide : upper;
        for (uint32_t x = 0; x < coarse.wide; x++)
            row[x] = mixed(upper + x, 1 - down, lower + x, down);
        for (uint32_t x = 0; x < fine.wide; x++) {
            const cell *left = row + place(x, coarse.wide, fine.wide, &right);
            cell around = mixed(left, 1 - right, coarse.wide > 1 ? left + 1 : left, right);
            cell *here = fine.cells + (uint64_t)y * fine.wide + x, own = mean_colours(*here);
            UNROLL for (int k = 0; k < 2; k++) {
                float trust = here->v[k][3] * TRUST;
                f32x4 t = splat_f32(trust < 1 ? trust : 1);
                here->v[k] = around.v[k] + t * (own.v[k] - around.v[k]);
            }
        }
    }
}

// in: f32 [4][high][wide], colours and alpha from 0 to 255. out: f32 [high][wide][8], the colours of
// the subject, 0, those of the background, 0. scratch: the coarser levels, and a row of the finest.
void spread_colours(args *a) {
    const spread_args *s = &a->op->spread;
    while (next_piece(a) >= 0) {
        level levels[MOST_LEVELS] = {{(cell *)(a->memory + s->out), s->high, s->wide}};
        cell *row = (cell *)a->scratch, *room = row + s->wide;
        int last = 0;
        weigh((const float *)(a->memory + s->in), levels[0]);
        for (; levels[last].high > COARSEST || levels[last].wide > COARSEST; last++) {
            require(last + 1 < MOST_LEVELS);
            levels[last + 1] = (level){room, (levels[last].high + 1) / 2, (levels[last].wide + 1) / 2};
            room += (uint64_t)levels[last + 1].high * levels[last + 1].wide;
            halve(levels[last], levels[last + 1], row);
        }
        cell all = mean_of_all(levels[last]);
        fill((level){&all, 1, 1}, levels[last], row);
        for (int k = last; k > 0; k--) fill(levels[k], levels[k - 1], row);
        for (uint64_t i = 0; i < (uint64_t)s->high * s->wide; i++)
            UNROLL for (int k = 0; k < 2; k++) levels[0].cells[i].v[k][3] = 0;
    }
}
