/* Writes COUNT lines of 100 bytes to stdout, `buffered` or `line` by line, and the seconds that took into FILE.
   lines COUNT buffered|line FILE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    long count = atol(argv[1]);
    int buffered = !strcmp(argv[2], "buffered");
    char line[128];
    double began = now();
    for (long at = 0; at < count; at++) {
        int length = snprintf(line, sizeof line, "%07ld the quick brown fox jumps over the lazy dog and does it again, "
                              "to fill a line of text with words\n", at);
        while (length < 100) { line[length - 1] = '.'; line[length++] = '\n'; }
        if (buffered ? fwrite(line, 1, 100, stdout) != 100 : write(1, line, 100) != 100) return 3;
    }
    fflush(stdout);
    double took = now() - began;
    FILE *out = fopen(argv[3], "w");
    if (!out) return 1;
    fprintf(out, "%.6f\n", took);
    return fclose(out) != 0;
}
