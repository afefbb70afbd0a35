/* memory.h - arrays that are allocated one by one and freed together, also after a failure. An
 * ft_memory starts as {0}. */
#ifndef FT_MEMORY_H
#define FT_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Stands before every array. 64 bytes: the array is aligned as malloc alone would align it. */
typedef struct ft_memory_block {
    struct ft_memory_block *previous;
    char padding[64 - sizeof(void *)];
} ft_memory_block;

typedef struct {
    ft_memory_block *last;
    int failed; /* whether an allocation failed */
} ft_memory;

static inline void *ft_memory_keep(ft_memory *memory, ft_memory_block *block)
{
    if (block == NULL) {
        memory->failed = 1;
        return NULL;
    }
    block->previous = memory->last;
    memory->last = block;
    return block + 1;
}

/* An array of `count` elements of `size` bytes; NULL if there is no memory. */
static inline void *ft_memory_take(ft_memory *memory, int64_t count, size_t size)
{
    return ft_memory_keep(memory, malloc(sizeof(ft_memory_block) + (size_t)count * size));
}

/* The same, filled with zeros. */
static inline void *ft_memory_take_zeros(ft_memory *memory, int64_t count, size_t size)
{
    return ft_memory_keep(memory, calloc(1, sizeof(ft_memory_block) + (size_t)count * size));
}

static inline void ft_memory_free(ft_memory *memory)
{
    while (memory->last != NULL) {
        ft_memory_block *block = memory->last;
        memory->last = block->previous;
        free(block);
    }
}

#endif
