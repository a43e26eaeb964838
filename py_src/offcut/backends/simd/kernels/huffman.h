// Huffman codes as deflate has them. See huffman.c.
#pragma once
#include <stdint.h>

enum {
    MOST_CODED = 288,                 // symbols of an alphabet
    MOST_NODES = 2 * MOST_CODED + 1,  // of a tree, and one more
    LONGEST_CODE = 15,                // bits
};

typedef struct {
    uint32_t frequency[MOST_NODES];  // of symbols, then of the nodes above them
    uint16_t above[MOST_NODES];      // the node over each one
    uint8_t depth[MOST_NODES];       // of the tree below a node
    uint8_t length[MOST_NODES];      // of a symbol's code in bits; 0: it has none
    uint16_t code[MOST_CODED];       // its first bit lowest
    uint16_t heap[MOST_NODES];
    uint32_t used;                   // symbols up to the last that has a code
} huffman;

// Give `symbols` symbols codes of at most `longest` bits, by their frequencies.
void make_codes(huffman *h, uint32_t symbols, uint32_t longest);

// Give them codes of the lengths that they have.
void number_codes(huffman *h, uint32_t symbols);
