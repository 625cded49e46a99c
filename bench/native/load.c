/* Load generator for IMAP and POP3 logins: closed loop, epoll, one state machine per connection.
 * With --rate, mode login is an open loop: so many logins a second are due, evenly spread, and
 * latencies count from the instant that each was due, so that a stall is not hidden.
 * Modes: login (LOGIN, NOOP, LOGOUT on a connection each), echo (NOOP round trips on open
 * sessions), fetch (whole bodies, each byte compared), hold (idle sessions until stdin ends).
 * On stdout: {"event":"start"} and {"event":"end"} around the measured window (mode hold:
 * {"event":"held"}), then one JSON result line. */
#include "bench.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES 2048
#define READ_BYTES (128 * 1024)
#define PATTERN_LINES 1024
#define MAX_THREADS 64
/* Logins under way at the same time while sessions are opened for echo, fetch and hold. */
#define MAX_OPENING 64
#define MAX_ERRORS 1000
#define HISTOGRAM 1024

enum mode { LOGIN, ECHO_MODE, FETCH, HOLD };
enum state { GREETING, USER_SENT, LOGIN_SENT, NOOP_SENT, LOGOUT_SENT, SELECT_SENT, READY, FETCH_SENT,
             BODY, BODY_TAIL };

struct thread;
struct conn {
  int fd;
  enum state state;
  long user;
  struct conn *next_idle;
  uint64_t started;   /* of the connection; open loop: when it was due */
  uint64_t asked;     /* of the last command */
  long body_left, body_bytes;
  size_t in_used;
  char in[IN_BYTES];
};

struct thread {
  pthread_t id;
  int epfd;
  long share;          /* connections of this thread */
  long opened, opening, ready;
  int is_running;
  struct conn **conns;
  struct conn *idle;   /* open loop: those without a connection */
  double due;          /* open loop: instant of the next arrival, microseconds */
  double interval;
  char *buffer;
  uint64_t random;
  uint64_t ops, logins, bytes, errors;
  uint64_t login_histogram[HISTOGRAM], op_histogram[HISTOGRAM];
};

static enum mode mode = LOGIN;
static int is_pop3, is_checked = 1, thread_count = 1;
static struct sockaddr_in target;
static long rate, late; /* logins a second, 0: closed loop; due ones that were never begun */
static long concurrency = 64, first_user, users = 10000, seconds = 5, warmup_seconds = 1;
static const char *prefix = "user", *password = "pass";
static char *pattern;
static struct thread threads[MAX_THREADS];
static _Atomic uint8_t *owners; /* user -> backend + 1, as first seen */
static atomic_long ready_total, wrong_user, wrong_backend, error_total;
static atomic_int phase; /* 0 opening and warm-up, 1 measured, 2 over */
static char first_error[256];
static atomic_flag has_error = ATOMIC_FLAG_INIT;

__attribute__((format(printf, 2, 3))) static void failed(struct thread *t, const char *format, ...) {
  t->errors++;
  atomic_fetch_add(&error_total, 1);
  if (atomic_flag_test_and_set(&has_error)) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(first_error, sizeof first_error, format, arguments);
  va_end(arguments);
  for (char *at = first_error; *at; at++)
    if (*at < ' ' || *at == '"' || *at == '\\' || *at > '~') *at = '?';
}

/* Log-linear: 32 steps per power of two, so a value is at most 3 % off. */
static unsigned bucket_of(uint64_t us) {
  if (us < 32) return (unsigned)us;
  unsigned top = 63u - (unsigned)__builtin_clzll(us);
  unsigned bucket = (top - 4) * 32 + (unsigned)(us >> (top - 5) & 31);
  return bucket < HISTOGRAM ? bucket : HISTOGRAM - 1;
}

static uint64_t value_of(unsigned bucket) {
  return bucket < 32 ? bucket : (uint64_t)(32 + bucket % 32) << (bucket / 32 - 1);
}

static void record(uint64_t *histogram, uint64_t us) {
  if (atomic_load_explicit(&phase, memory_order_relaxed) == 1) histogram[bucket_of(us)]++;
}

static void count_op(struct thread *t) {
  if (atomic_load_explicit(&phase, memory_order_relaxed) == 1) t->ops++;
}

static void open_next(struct thread *t, struct conn *c, uint64_t started);

static void hang_up(struct conn *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
}

static void restart(struct thread *t, struct conn *c) {
  int was_open = c->state >= READY;
  hang_up(c);
  if (was_open) {
    t->ready--;
    atomic_fetch_sub(&ready_total, 1);
  } else t->opening--;
  if (atomic_load(&phase) == 2 || atomic_load(&error_total) >= MAX_ERRORS) return;
  if (rate == 0) {
    open_next(t, c, now_us());
    return;
  }
  c->next_idle = t->idle;
  t->idle = c;
}

static void ask(struct thread *t, struct conn *c, enum state next, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  c->state = next;
  c->asked = now_us();
  if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length) failed(t, "send: %s", strerror(errno));
}

static void open_next(struct thread *t, struct conn *c, uint64_t started) {
  t->opening++;
  if (mode == LOGIN) {
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    c->user = first_user + (long)(t->random % (uint64_t)users);
  }
  c->state = GREETING;
  c->in_used = 0;
  c->started = started;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(c->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) {
    failed(t, "connect: %s", strerror(errno));
    restart(t, c);
    return;
  }
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(t->epfd, EPOLL_CTL_ADD, c->fd, &event);
}

/* The accepting line must name our user, and the backend that user was on before. */
static void check_owner(struct thread *t, struct conn *c, const char *line) {
  char expected[160];
  const char *at = strrchr(line, '{');
  int length = snprintf(expected, sizeof expected, "/%s%06ld}", prefix, c->user);
  const char *slash = at == NULL ? NULL : strchr(at, '/');
  if (slash == NULL || strncmp(slash, expected, (size_t)length) != 0) {
    atomic_fetch_add(&wrong_user, 1);
    failed(t, "wrong user: %.150s", line);
    return;
  }
  uint8_t backend = (uint8_t)(atoi(at + 1) + 1), none = 0;
  if (!atomic_compare_exchange_strong(&owners[c->user], &none, backend) && none != backend) {
    atomic_fetch_add(&wrong_backend, 1);
    failed(t, "user on backend %d, was on %d: %.100s", backend - 1, none - 1, line);
  }
}

static void ask_op(struct thread *t, struct conn *c) {
  if (mode == ECHO_MODE) ask(t, c, READY, is_pop3 ? "NOOP\r\n" : "n NOOP\r\n");
  else if (mode == FETCH) ask(t, c, FETCH_SENT, is_pop3 ? "RETR 1\r\n" : "f FETCH 1 BODY[]\r\n");
}

static void now_ready(struct thread *t, struct conn *c) {
  c->state = READY;
  t->opening--;
  t->ready++;
  atomic_fetch_add(&ready_total, 1);
  if (t->is_running) ask_op(t, c);
}

static void logged_in(struct thread *t, struct conn *c, const char *line) {
  t->logins++;
  record(t->login_histogram, now_us() - c->started);
  if (is_checked) check_owner(t, c, line);
  if (mode == LOGIN) ask(t, c, NOOP_SENT, is_pop3 ? "NOOP\r\n" : "n NOOP\r\n");
  else if (mode == FETCH && !is_pop3) ask(t, c, SELECT_SENT, "s SELECT INBOX\r\n");
  else now_ready(t, c);
}

/* One line of the server; 0 when the connection was given up. */
static int take_line(struct thread *t, struct conn *c, const char *line) {
  int is_ok = is_pop3 ? strncmp(line, "+OK", 3) == 0
              : c->state == GREETING ? strncmp(line, "* OK", 4) == 0
                                     : strncmp(line + 1, " OK", 3) == 0;
  int is_untagged = !is_pop3 && line[0] == '*' && c->state != GREETING;
  if (is_untagged && c->state != FETCH_SENT) return 1;
  if (!is_ok && !(c->state == FETCH_SENT && is_untagged) && c->state != BODY_TAIL) {
    failed(t, "state %d: %.150s", c->state, line);
    restart(t, c);
    return 0;
  }
  switch (c->state) {
    case GREETING:
      if (is_pop3) ask(t, c, USER_SENT, "USER %s%06ld\r\n", prefix, c->user);
      else ask(t, c, LOGIN_SENT, "a LOGIN %s%06ld %s\r\n", prefix, c->user, password);
      break;
    case USER_SENT:
      ask(t, c, LOGIN_SENT, "PASS %s\r\n", password);
      break;
    case LOGIN_SENT:
      logged_in(t, c, line);
      break;
    case NOOP_SENT:
      ask(t, c, LOGOUT_SENT, is_pop3 ? "QUIT\r\n" : "z LOGOUT\r\n");
      break;
    case SELECT_SENT:
      now_ready(t, c);
      break;
    case READY: /* the answer to an echo */
      record(t->op_histogram, now_us() - c->asked);
      count_op(t);
      ask_op(t, c);
      break;
    case FETCH_SENT: {
      const char *size = is_pop3 ? line + 4 : strrchr(line, '{');
      if (size == NULL) return 1; /* some other untagged line */
      c->body_bytes = c->body_left = atol(is_pop3 ? size : size + 1);
      c->state = BODY;
      break;
    }
    case BODY_TAIL:
      if (is_pop3 ? strcmp(line, ".") != 0 : !is_ok) {
        if (!is_pop3 && strcmp(line, ")") == 0) return 1;
        failed(t, "behind the body: %.150s", line);
        restart(t, c);
        return 0;
      }
      record(t->op_histogram, now_us() - c->asked);
      count_op(t);
      if (atomic_load_explicit(&phase, memory_order_relaxed) == 1) t->bytes += (uint64_t)c->body_bytes;
      ask_op(t, c);
      break;
    case LOGOUT_SENT:
    case BODY:
      break;
  }
  return 1;
}

/* Compares a piece of the body with what it must be; returns the bytes taken, -1 when wrong. */
static long take_body(struct conn *c, const char *data, long length) {
  if (length > c->body_left) length = c->body_left;
  long at = c->body_bytes - c->body_left, done = 0, text_end = c->body_bytes - 2;
  while (is_checked && done < length && at + done < text_end) {
    long offset = (at + done) % BODY_LINE_BYTES;
    long n = (PATTERN_LINES - 1) * BODY_LINE_BYTES;
    if (n > length - done) n = length - done;
    if (n > text_end - at - done) n = text_end - at - done;
    if (memcmp(data + done, pattern + offset, (size_t)n) != 0) return -1;
    done += n;
  }
  c->body_left -= length;
  if (c->body_left == 0) c->state = BODY_TAIL;
  return length;
}

/* Feeds bytes to the state machine; lines are completed in c->in. */
static void take(struct thread *t, struct conn *c, char *data, long length) {
  while (length > 0) {
    if (c->state == BODY) {
      long n = take_body(c, data, length);
      if (n < 0) {
        failed(t, "body differs at byte %ld", c->body_bytes - c->body_left);
        restart(t, c);
        return;
      }
      data += n;
      length -= n;
      continue;
    }
    char *end = memchr(data, '\n', (size_t)length);
    long n = end == NULL ? length : end + 1 - data;
    if (c->in_used + (size_t)n >= IN_BYTES) {
      failed(t, "a line is too long");
      restart(t, c);
      return;
    }
    memcpy(c->in + c->in_used, data, (size_t)n);
    c->in_used += (size_t)n;
    data += n;
    length -= n;
    if (end == NULL) return;
    while (c->in_used > 0 && (c->in[c->in_used - 1] == '\n' || c->in[c->in_used - 1] == '\r')) c->in_used--;
    c->in[c->in_used] = 0;
    c->in_used = 0;
    if (!take_line(t, c, c->in)) return;
  }
}

static void serve(struct thread *t, struct conn *c) {
  if (c->fd < 0) return;
  ssize_t n = recv(c->fd, t->buffer, mode == FETCH ? READ_BYTES : 16384, 0);
  if (n > 0) {
    take(t, c, t->buffer, n);
    return;
  }
  if (n < 0 && errno == EAGAIN) return;
  if (n == 0 && c->state == LOGOUT_SENT) count_op(t);
  else if (atomic_load(&phase) < 2)
    failed(t, "state %d: %s", c->state, n == 0 ? "closed by the server" : strerror(errno));
  if (n == 0 && c->state == LOGOUT_SENT) record(t->op_histogram, now_us() - c->started);
  restart(t, c);
}

/* Begins all that is due, as far as there are connections; returns the microseconds until the next. */
static long open_due(struct thread *t) {
  double now = (double)now_us();
  while (t->due <= now && t->idle != NULL) {
    struct conn *c = t->idle;
    t->idle = c->next_idle;
    open_next(t, c, (uint64_t)t->due);
    t->due += t->interval;
  }
  if (t->idle == NULL) return 50000; /* an end of one of them comes first */
  return t->due > now ? (long)(t->due - now) + 1 : 0;
}

static void *run_thread(void *argument) {
  struct thread *t = argument;
  struct epoll_event events[256];
  while (atomic_load(&phase) < 2 && atomic_load(&error_total) < MAX_ERRORS) {
    long limit = mode == LOGIN ? t->share : MAX_OPENING / thread_count + 1;
    long wait = 50000;
    if (rate > 0) wait = open_due(t);
    else while (t->opened < t->share && t->opening < limit) open_next(t, t->conns[t->opened++], now_us());
    if (!t->is_running && mode != LOGIN && atomic_load(&ready_total) == concurrency) {
      t->is_running = 1;
      for (long i = 0; i < t->share; i++)
        if (t->conns[i]->state == READY) ask_op(t, t->conns[i]);
    }
    if (wait > 50000) wait = 50000;
    struct timespec timeout = {.tv_sec = 0, .tv_nsec = wait * 1000};
    int count = epoll_pwait2(t->epfd, events, 256, &timeout, NULL);
    for (int i = 0; i < count; i++) serve(t, events[i].data.ptr);
  }
  return NULL;
}

static uint64_t percentile(const uint64_t *histogram, double share) {
  uint64_t total = 0, seen = 0;
  for (int i = 0; i < HISTOGRAM; i++) total += histogram[i];
  for (unsigned i = 0; i < HISTOGRAM; i++) {
    seen += histogram[i];
    if (total > 0 && (double)seen >= share * (double)total) return value_of(i);
  }
  return 0;
}

static void say(const char *event) {
  printf("{\"event\":\"%s\",\"sessions\":%ld}\n", event, atomic_load(&ready_total));
  fflush(stdout);
}

static void print_latency(const char *name, const uint64_t *histogram) {
  printf("\"%s\":{\"p50\":%lu,\"p90\":%lu,\"p99\":%lu,\"max\":%lu},", name,
         percentile(histogram, 0.5), percentile(histogram, 0.9), percentile(histogram, 0.99),
         percentile(histogram, 1.0));
}

/* Open loop: logins that were not accepted by the end have waited at least until then. */
static void count_unfinished(struct thread *t, uint64_t ended) {
  for (long i = 0; i < t->share; i++) {
    struct conn *c = t->conns[i];
    if (c->fd >= 0 && c->state <= LOGIN_SENT && c->started < ended)
      t->login_histogram[bucket_of(ended - c->started)]++;
  }
  for (; t->due < (double)ended; t->due += t->interval) {
    late++;
    t->login_histogram[bucket_of(ended - (uint64_t)t->due)]++;
  }
}

/* `ended`: the end of the measured window. */
static void print_result(double elapsed, uint64_t ended) {
  struct thread sum = {0};
  for (int i = 0; i < thread_count; i++) {
    struct thread *t = &threads[i];
    sum.ops += t->ops;
    sum.logins += t->logins;
    sum.bytes += t->bytes;
    sum.errors += t->errors;
    if (rate > 0) count_unfinished(t, ended);
    for (int j = 0; j < HISTOGRAM; j++) {
      sum.login_histogram[j] += t->login_histogram[j];
      sum.op_histogram[j] += t->op_histogram[j];
    }
  }
  printf("{\"ops\":%lu,\"seconds\":%.6f,\"perSecond\":%.3f,\"bytes\":%lu,\"logins\":%lu,", sum.ops,
         elapsed, elapsed > 0 ? (double)sum.ops / elapsed : 0.0, sum.bytes, sum.logins);
  print_latency("loginMicros", sum.login_histogram);
  print_latency("opMicros", sum.op_histogram);
  printf("\"late\":%ld,", late);
  printf("\"errors\":%lu,\"wrongUser\":%ld,\"wrongBackend\":%ld,\"firstError\":\"%s\"}\n", sum.errors,
         atomic_load(&wrong_user), atomic_load(&wrong_backend), first_error);
}

static int has_given_up(void) { return atomic_load(&error_total) >= MAX_ERRORS; }

static void wait_us(uint64_t us) {
  uint64_t end = now_us() + us;
  while (now_us() < end && !has_given_up()) usleep(now_us() + 20000 < end ? 20000 : 1000);
}

static double measure(void) {
  while (mode != LOGIN && atomic_load(&ready_total) < concurrency && !has_given_up()) usleep(1000);
  if (mode == HOLD) {
    char byte;
    say("held");
    while (read(0, &byte, 1) > 0) continue;
    return 0;
  }
  wait_us((uint64_t)warmup_seconds * 1000000u);
  say("start");
  uint64_t start = now_us();
  atomic_store(&phase, 1);
  wait_us((uint64_t)seconds * 1000000u);
  atomic_store(&phase, 2);
  double elapsed = (double)(now_us() - start) / 1e6;
  say("end");
  return elapsed;
}

static int parse(int argc, char **argv) {
  int port = 0;
  const char *host = "127.0.0.1";
  for (int i = 1; i + 1 < argc; i += 2) {
    const char *key = argv[i], *value = argv[i + 1];
    if (strcmp(key, "--mode") == 0)
      mode = strcmp(value, "login") == 0 ? LOGIN
             : strcmp(value, "echo") == 0 ? ECHO_MODE
             : strcmp(value, "fetch") == 0 ? FETCH
                                           : HOLD;
    else if (strcmp(key, "--proto") == 0) is_pop3 = strcmp(value, "pop3") == 0;
    else if (strcmp(key, "--host") == 0) host = value;
    else if (strcmp(key, "--port") == 0) port = atoi(value);
    else if (strcmp(key, "--concurrency") == 0) concurrency = atol(value);
    else if (strcmp(key, "--seconds") == 0) seconds = atol(value);
    else if (strcmp(key, "--warmup") == 0) warmup_seconds = atol(value);
    else if (strcmp(key, "--rate") == 0) rate = atol(value);
    else if (strcmp(key, "--first-user") == 0) first_user = atol(value);
    else if (strcmp(key, "--users") == 0) users = atol(value);
    else if (strcmp(key, "--threads") == 0) thread_count = atoi(value);
    else if (strcmp(key, "--prefix") == 0) prefix = value;
    else if (strcmp(key, "--password") == 0) password = value;
    else if (strcmp(key, "--check") == 0) is_checked = atoi(value);
    else {
      fprintf(stderr, "unknown option %s\n", key);
      return 0;
    }
  }
  target.sin_family = AF_INET;
  target.sin_port = htons((uint16_t)port);
  return inet_pton(AF_INET, host, &target.sin_addr) == 1 && port > 0 && concurrency > 0 && users > 0 &&
         rate >= 0 && rate <= 1000000 && (rate == 0 || mode == LOGIN) && first_user >= 0 &&
         first_user + users <= MAX_USERS && thread_count > 0 && thread_count <= MAX_THREADS;
}

static void start_threads(void) {
  for (int i = 0; i < thread_count; i++) {
    struct thread *t = &threads[i];
    t->share = concurrency / thread_count + (i < concurrency % thread_count);
    t->random = 88172645463325252u + (uint64_t)i * 7919;
    t->conns = calloc((size_t)t->share, sizeof *t->conns);
    t->buffer = malloc(READ_BYTES);
    t->epfd = epoll_create1(EPOLL_CLOEXEC);
    t->interval = rate > 0 ? 1e6 * thread_count / (double)rate : 0;
    t->due = (double)now_us() + t->interval * i / thread_count;
    for (long j = 0; j < t->share; j++) {
      t->conns[j] = calloc(1, sizeof **t->conns);
      if (t->conns[j] == NULL) die("calloc");
      t->conns[j]->fd = -1;
      t->conns[j]->user = first_user + (j * thread_count + i) % users;
      t->conns[j]->next_idle = t->idle;
      t->idle = t->conns[j];
    }
    if (pthread_create(&t->id, NULL, run_thread, t) != 0) die("thread");
  }
}

int main(int argc, char **argv) {
  if (!parse(argc, argv)) return 64;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  owners = calloc(MAX_USERS, sizeof *owners);
  pattern = malloc(PATTERN_LINES * BODY_LINE_BYTES + 1);
  if (owners == NULL || pattern == NULL) die("setup");
  for (int i = 0; i < PATTERN_LINES; i++) memcpy(pattern + i * BODY_LINE_BYTES, BODY_LINE, BODY_LINE_BYTES);
  start_threads();
  double elapsed = measure();
  uint64_t ended = now_us();
  atomic_store(&phase, 2);
  for (int i = 0; i < thread_count; i++) pthread_join(threads[i].id, NULL);
  print_result(elapsed, ended);
  return has_given_up() ? 1 : 0;
}
