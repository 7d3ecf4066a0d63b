/* Says when it was started: CLOCK_MONOTONIC in nanoseconds, into the file named by its argument. */
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    FILE *out = argc > 1 ? fopen(argv[1], "w") : NULL;
    if (!out) return 1;
    fprintf(out, "%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    return fclose(out) != 0;
}
