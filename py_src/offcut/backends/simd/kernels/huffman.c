// Huffman codes, with the lengths that zlib gives them: of several best codes it matters which.
//
// Two symbols or nodes are joined at a time, those that are seldom first; among equals the one with
// the lower tree. Codes that are too long are cut off, and others made longer in exchange.
#include "huffman.h"
#include "program.h"

static int goes_first(const huffman *h, uint32_t n, uint32_t m) {
    uint32_t mine = h->frequency[n], other = h->frequency[m];
    return mine < other || (mine == other && h->depth[n] <= h->depth[m]);
}

// heap[1..size], of which only `at` may be in the wrong place; every entry goes before the two at
// twice its index.
static void sift(huffman *h, uint32_t size, uint32_t at) {
    uint16_t node = h->heap[at];
    for (uint32_t next = 2 * at; next <= size; next *= 2) {
        if (next < size && goes_first(h, h->heap[next + 1], h->heap[next])) next++;
        if (goes_first(h, node, h->heap[next])) break;
        h->heap[at] = h->heap[next];
        at = next;
    }
    h->heap[at] = node;
}

// Puts what has a frequency on the heap, at least two symbols; returns how many.
static uint32_t fill(huffman *h, uint32_t symbols) {
    uint32_t size = 0;
    h->used = 0;
    for (uint32_t n = 0; n < symbols; n++) {
        h->depth[n] = h->length[n] = 0;
        if (!h->frequency[n]) continue;
        h->heap[++size] = (uint16_t)n;
        h->used = n + 1;
    }
    while (size < 2) {
        uint32_t n = h->used < 3 ? h->used++ : 0;
        h->heap[++size] = (uint16_t)n;
        h->frequency[n] = 1;
    }
    return size;
}

// Joins all to one tree. The heap's end then has its nodes, each after those above it.
static uint32_t join(huffman *h, uint32_t symbols, uint32_t size) {
    uint32_t node = symbols, last = MOST_NODES;
    for (uint32_t n = size / 2; n >= 1; n--) sift(h, size, n);
    for (; size >= 2; node++) {
        uint32_t n = h->heap[1];
        h->heap[1] = h->heap[size--];
        sift(h, size, 1);
        uint32_t m = h->heap[1];
        h->heap[--last] = (uint16_t)n;
        h->heap[--last] = (uint16_t)m;
        h->frequency[node] = h->frequency[n] + h->frequency[m];
        h->depth[node] = (uint8_t)((h->depth[n] > h->depth[m] ? h->depth[n] : h->depth[m]) + 1);
        h->above[n] = h->above[m] = (uint16_t)node;
        h->heap[1] = (uint16_t)node;
        sift(h, size, 1);
    }
    h->heap[--last] = h->heap[1];
    return last;
}

// A symbol's length is how far it is below the top, cut off at `longest`.
static void measure(huffman *h, uint32_t symbols, uint32_t longest, uint32_t top) {
    uint32_t counts[LONGEST_CODE + 1] = {0}, at = top + 1;
    int32_t over = 0;  // nodes that are too deep
    h->length[h->heap[top]] = 0;
    for (; at < MOST_NODES; at++) {
        uint32_t n = h->heap[at], bits = h->length[h->above[n]] + 1u;
        if (bits > longest) bits = longest, over++;
        h->length[n] = (uint8_t)bits;
        if (n < symbols) counts[bits]++;
    }
    if (!over) return;
    for (; over > 0; over -= 2) {  // a shorter code becomes two, of which one takes the deep symbol
        uint32_t bits = longest - 1;
        while (!counts[bits]) bits--;
        counts[bits]--;
        counts[bits + 1] += 2;
        counts[longest]--;
    }
    for (uint32_t bits = longest; bits; bits--)
        for (uint32_t n = counts[bits]; n;) {
            uint32_t symbol = h->heap[--at];
            if (symbol >= symbols) continue;
            h->length[symbol] = (uint8_t)bits;
            n--;
        }
}

void number_codes(huffman *h, uint32_t symbols) {
    uint32_t counts[LONGEST_CODE + 1] = {0}, next[LONGEST_CODE + 1] = {0};
    for (uint32_t n = 0; n < symbols; n++) counts[h->length[n]]++;
    counts[0] = 0;
    for (uint32_t bits = 1; bits <= LONGEST_CODE; bits++)
        next[bits] = (next[bits - 1] + counts[bits - 1]) << 1;
    for (uint32_t n = 0; n < symbols; n++) {
        uint32_t code = next[h->length[n]]++, turned = 0;
        for (uint32_t k = h->length[n]; k; k--, code >>= 1) turned = turned << 1 | (code & 1);
        h->code[n] = (uint16_t)turned;
    }
}

void make_codes(huffman *h, uint32_t symbols, uint32_t longest) {
    require(symbols <= MOST_CODED && longest <= LONGEST_CODE);
    uint32_t top = join(h, symbols, fill(h, symbols));
    measure(h, symbols, longest, top);
    number_codes(h, symbols);
}
