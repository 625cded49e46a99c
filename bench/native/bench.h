/* Shared by the load generator and the fake backend: the body's bytes, time, small helpers.
 * Must agree with bench/body.ts. */
#ifndef BENCH_H
#define BENCH_H
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The body is this line over and over, cut at its size, its last two bytes replaced by CRLF. */
#define BODY_LINE "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/abcdefghijkl\r\n"
#define BODY_LINE_BYTES 78
/* One million for each kind of round (see --first-user). */
#define MAX_USERS 2000000

static inline uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static inline void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

/* The number at the end of a user name, or -1: names are PREFIX plus digits. */
static inline long user_index(const char *name, size_t length) {
  size_t at = length;
  long value = 0, scale = 1;
  while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9' && length - at < 9) {
    value += (name[--at] - '0') * scale;
    scale *= 10;
  }
  return at == length ? -1 : value;
}
#endif
