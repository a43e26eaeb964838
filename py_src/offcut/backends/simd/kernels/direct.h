// What conv_direct and conv_stem share: they differ in how they gather their inputs.
#pragma once
#include "epilogue.h"
#include "gemm.h"

// Where a thread keeps its intermediate results.
typedef struct {
    int32_t *sums;     // [blocks_out][GROUP][8]
    int16_t *columns;  // [depth][GROUP][8]
    int16_t *rows;     // conv_stem: its quantized rows
} workspace;

INLINE workspace place(const args *a, const conv_args *c, int depth) {
    int32_t *sums = (int32_t *)a->scratch;
    int16_t *columns = (int16_t *)(sums + c->blocks_out * GROUP * 8);
    return (workspace){sums, columns, columns + depth * GROUP * 8};
}

// Multiply the columns of one group of channels with all its weights and write n pixels.
void multiply_pixels(const args *a, const conv_args *c, int group, int depth, int y, int x, int n,
                     const workspace *w);
