/* Runs net.c over x, [steps][inputs] on the standard input, and puts out y. */
#include <stdio.h>
#include <stdlib.h>

#include "net.h"

int main(int count, char **words) {
    const long steps = count > 1 ? strtol(words[1], NULL, 10) : 0;
    net_state *state = malloc(sizeof *state); /* by itself: sanitizers see what goes beyond it */
    INPUT *x = malloc((size_t)steps * NET_INPUTS * sizeof *x);
    REAL *y = malloc((size_t)steps * NET_OUTPUTS * sizeof *y);
    if (fread(x, sizeof *x, (size_t)steps * NET_INPUTS, stdin) != (size_t)steps * NET_INPUTS) return 1;
    net_reset(state);
#ifdef NET_WORK
    REAL *work = malloc((size_t)steps * NET_WORK * sizeof *work);
    net_run(state, x, y, steps, work);
    free(work);
#else
    net_run(state, x, y, steps);
#endif
    fwrite(y, sizeof *y, (size_t)steps * NET_OUTPUTS, stdout);
    free(state);
    free(x);
    free(y);
    return 0;
}
