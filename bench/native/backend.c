/* Fake IMAP and POP3 backends for benches: fixed replies, one thread, epoll. Several backends (one
 * per --listen address, same ports) live in one process, which also measures the promise: a user
 * with open sessions on two of them at the same time is a violation.
 *
 * On stdin: a line asks for a report, the end stops it. On stdout: one JSON line per answer.
 * An accepted login names backend and user, `{2/user000017}`, for the load generator to check. */
#include "bench.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_BACKENDS 16
#define IN_BYTES 4096
#define OUT_BYTES 4096
/* Room that one reply may need. */
#define OUT_RESERVE 1024
/* The body is sent again and again from a piece that stays in the cache: whole lines. */
#define CHUNK_BYTES (BODY_LINE_BYTES * 6720)
#define CAPS "IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+"

struct conn {
  int fd;
  int is_listener;
  int is_pop3;
  int backend;
  long user;          /* -1: not logged in */
  char name[128];     /* POP3 USER */
  char tail[160];     /* what follows a body */
  off_t body_at;      /* -1: no body under way */
  int is_closing;
  int wants_write;
  size_t in_used, out_used;
  size_t literal_end; /* of the last literal in the command that is being received, from its start */
  char in[IN_BYTES];
  char out[OUT_BYTES + OUT_RESERVE];
};

static int epfd, body_fd = -1, is_trusting = 1;
static off_t body_bytes = 16777216;
static int backend_count;
static const char *addresses[MAX_BACKENDS];
static uint64_t logins[MAX_BACKENDS], open_sessions[MAX_BACKENDS];
static uint64_t violations, bad_logins, bad_commands;
static uint32_t *held; /* open sessions per user and backend */

static void say(struct conn *c, const char *text, size_t length) {
  if (c->out_used + length > sizeof c->out) abort(); /* the caller keeps OUT_RESERVE free */
  memcpy(c->out + c->out_used, text, length);
  c->out_used += length;
}
#define SAY(c, literal) say(c, literal, sizeof(literal) - 1)

__attribute__((format(printf, 2, 3))) static void sayf(struct conn *c, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(c->out + c->out_used, OUT_RESERVE, format, arguments);
  va_end(arguments);
  if (length < 0 || length >= OUT_RESERVE) length = 0;
  c->out_used += (size_t)length;
}

static void watch(struct conn *c, uint32_t events, int op) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(epfd, op, c->fd, &event) < 0) die("epoll_ctl");
}

static void logged_out(struct conn *c) {
  if (c->user < 0) return;
  held[c->user * MAX_BACKENDS + c->backend]--;
  open_sessions[c->backend]--;
  c->user = -1;
}

static void drop(struct conn *c) {
  logged_out(c);
  close(c->fd);
  free(c);
}

/* Returns 1 when the login is accepted and counted. */
static int log_in(struct conn *c, const char *name, size_t length, const char *password,
                  size_t password_length) {
  long user = user_index(name, length);
  if (user < 0 || user >= MAX_USERS || password_length != 4 || memcmp(password, "pass", 4) != 0) {
    bad_logins++;
    return 0;
  }
  uint32_t *row = held + user * MAX_BACKENDS;
  for (int i = 0; i < backend_count; i++)
    if (i != c->backend && row[i] > 0) {
      violations++;
      break;
    }
  row[c->backend]++;
  logins[c->backend]++;
  open_sessions[c->backend]++;
  c->user = user;
  snprintf(c->name, sizeof c->name, "%.*s", (int)(length > 100 ? 100 : length), name);
  return 1;
}

/* Base64 of NUL user NUL password (an authzid in front is skipped). */
static int log_in_plain(struct conn *c, const char *text, size_t length) {
  unsigned char out[256];
  size_t used = 0;
  uint32_t bits = 0;
  int count = 0;
  for (size_t i = 0; i < length && text[i] != '='; i++) {
    char ch = text[i];
    int v = ch >= 'A' && ch <= 'Z'   ? ch - 'A'
            : ch >= 'a' && ch <= 'z' ? ch - 'a' + 26
            : ch >= '0' && ch <= '9' ? ch - '0' + 52
            : ch == '+'              ? 62
            : ch == '/'              ? 63
                                     : -1;
    if (v < 0 || used >= sizeof out - 1) return 0;
    bits = bits << 6 | (uint32_t)v;
    count += 6;
    if (count >= 8) out[used++] = (unsigned char)(bits >> (count -= 8));
  }
  unsigned char *user = memchr(out, 0, used);
  if (user == NULL) return 0;
  user++;
  unsigned char *password = memchr(user, 0, (size_t)(out + used - user));
  if (password == NULL) return 0;
  password++;
  return log_in(c, (char *)user, (size_t)(password - 1 - user), (char *)password,
                (size_t)(out + used - password));
}

/* The size of the literal that a line announces at its end, or -1. */
static long literal_size(const char *line, const char *end, int *is_waiting) {
  const char *at = end;
  if (at == line || *--at != '}') return -1;
  *is_waiting = at == line || at[-1] != '+';
  if (!*is_waiting) at--;
  long value = 0, scale = 1;
  const char *digits = at;
  while (at > line && at[-1] >= '0' && at[-1] <= '9' && digits - at < 6) {
    value += (*--at - '0') * scale;
    scale *= 10;
  }
  return at < digits && at > line && at[-1] == '{' ? value : -1;
}

/* Takes an atom, a literal or a quoted string without escapes from *at. */
static int take_string(char **at, char *end, char **text, size_t *length) {
  while (*at < end && **at == ' ') (*at)++;
  char stop = ' ';
  if (*at < end && **at == '{') {
    char *line_end = memchr(*at, '\n', (size_t)(end - *at));
    if (line_end == NULL) return 0;
    *text = line_end + 1;
    *length = (size_t)atol(*at + 1);
    if (*length > (size_t)(end - *text)) return 0;
    *at = *text + *length;
    return *length > 0;
  }
  if (*at < end && **at == '"') {
    stop = '"';
    (*at)++;
  }
  *text = *at;
  char *close = memchr(*at, stop, (size_t)(end - *at));
  if (close == NULL) {
    if (stop == '"') return 0;
    close = end;
  }
  *length = (size_t)(close - *text);
  *at = close < end ? close + 1 : end;
  return *length > 0;
}

static int is_word(const char *at, size_t length, const char *word) {
  return strlen(word) == length && strncasecmp(at, word, length) == 0;
}

static void imap_login_reply(struct conn *c, const char *tag, int accepted) {
  if (accepted)
    sayf(c, "%s OK [CAPABILITY " CAPS "] Logged in {%d/%s}\r\n", tag, c->backend, c->name);
  else
    sayf(c, "%s NO [AUTHENTICATIONFAILED] Authentication failed.\r\n", tag);
}

static void imap_line(struct conn *c, char *line, char *end) {
  char *space = memchr(line, ' ', (size_t)(end - line));
  if (space == NULL || space - line > 64) {
    bad_commands++;
    SAY(c, "* BAD Error\r\n");
    return;
  }
  char tag[65];
  memcpy(tag, line, (size_t)(space - line));
  tag[space - line] = 0;
  char *verb = space + 1, *rest = memchr(verb, ' ', (size_t)(end - verb));
  if (rest == NULL) rest = end;
  size_t length = (size_t)(rest - verb);
  if (is_word(verb, length, "NOOP")) {
    sayf(c, "%s OK NOOP completed.\r\n", tag);
  } else if (is_word(verb, length, "LOGIN")) {
    char *user, *password;
    size_t user_length, password_length;
    int ok = take_string(&rest, end, &user, &user_length) &&
             take_string(&rest, end, &password, &password_length) &&
             log_in(c, user, user_length, password, password_length);
    imap_login_reply(c, tag, ok);
  } else if (is_word(verb, length, "AUTHENTICATE")) {
    char *mechanism, *response;
    size_t mechanism_length, response_length;
    int ok = take_string(&rest, end, &mechanism, &mechanism_length) &&
             take_string(&rest, end, &response, &response_length) &&
             log_in_plain(c, response, response_length);
    imap_login_reply(c, tag, ok);
  } else if (is_word(verb, length, "ID")) {
    sayf(c, "* ID (\"name\" \"bench\")\r\n%s OK ID completed.\r\n", tag);
  } else if (is_word(verb, length, "CAPABILITY")) {
    sayf(c, "* CAPABILITY " CAPS "\r\n%s OK Capability completed.\r\n", tag);
  } else if (is_word(verb, length, "SELECT")) {
    sayf(c, "* 1 EXISTS\r\n%s OK [READ-WRITE] Select completed.\r\n", tag);
  } else if (is_word(verb, length, "FETCH")) {
    sayf(c, "* 1 FETCH (BODY[] {%ld}\r\n", (long)body_bytes);
    snprintf(c->tail, sizeof c->tail, ")\r\n%s OK Fetch completed.\r\n", tag);
    c->body_at = 0;
  } else if (is_word(verb, length, "LOGOUT")) {
    logged_out(c);
    sayf(c, "* BYE Logging out\r\n%s OK Logout completed.\r\n", tag);
    c->is_closing = 1;
  } else {
    bad_commands++;
    sayf(c, "%s BAD Error\r\n", tag);
  }
}

static void pop3_line(struct conn *c, char *line, char *end) {
  char *rest = memchr(line, ' ', (size_t)(end - line));
  size_t length = (size_t)((rest == NULL ? end : rest) - line);
  char *argument = rest == NULL ? end : rest + 1;
  if (is_word(line, length, "NOOP")) {
    SAY(c, "+OK\r\n");
  } else if (is_word(line, length, "USER")) {
    size_t n = (size_t)(end - argument);
    snprintf(c->name, sizeof c->name, "%.*s", (int)(n > 100 ? 100 : n), argument);
    SAY(c, "+OK\r\n");
  } else if (is_word(line, length, "PASS") || is_word(line, length, "AUTH")) {
    char name[128];
    memcpy(name, c->name, sizeof name);
    int is_auth = is_word(line, length, "AUTH");
    int ok = is_auth ? end - argument > 6 &&
                           log_in_plain(c, argument + 6, (size_t)(end - argument - 6))
                     : log_in(c, name, strlen(name), argument, (size_t)(end - argument));
    if (ok) sayf(c, "+OK Logged in. {%d/%s}\r\n", c->backend, c->name);
    else SAY(c, "-ERR [AUTH] Authentication failed.\r\n");
  } else if (is_word(line, length, "XCLIENT")) {
    SAY(c, "+OK Updated\r\n");
  } else if (is_word(line, length, "CAPA")) {
    SAY(c, "+OK\r\nCAPA\r\nPIPELINING\r\nUSER\r\nSASL PLAIN\r\n.\r\n");
  } else if (is_word(line, length, "STAT")) {
    sayf(c, "+OK 1 %ld\r\n", (long)body_bytes);
  } else if (is_word(line, length, "RETR")) {
    sayf(c, "+OK %ld octets\r\n", (long)body_bytes);
    snprintf(c->tail, sizeof c->tail, ".\r\n");
    c->body_at = 0;
  } else if (is_word(line, length, "QUIT")) {
    logged_out(c);
    SAY(c, "+OK Logging out.\r\n");
    c->is_closing = 1;
  } else {
    bad_commands++;
    SAY(c, "-ERR Unknown command.\r\n");
  }
}

/* Writes what can be written; 0 when the connection is gone. */
static int flush(struct conn *c) {
  for (;;) {
    if (c->out_used > 0) {
      ssize_t n = send(c->fd, c->out, c->out_used, MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN ? 1 : 0;
      memmove(c->out, c->out + n, c->out_used - (size_t)n);
      c->out_used -= (size_t)n;
      if (c->out_used > 0) continue;
    }
    if (c->body_at < 0) return 1;
    off_t at = c->body_at % CHUNK_BYTES, left = body_bytes - 2 - c->body_at;
    if (left > CHUNK_BYTES - at) left = CHUNK_BYTES - at;
    ssize_t n = left == 0 ? 0 : sendfile(c->fd, body_fd, &at, (size_t)left);
    if (n < 0) return errno == EAGAIN ? 1 : 0;
    c->body_at += n;
    if (c->body_at == body_bytes - 2) {
      c->body_at = -1;
      SAY(c, "\r\n");
      say(c, c->tail, strlen(c->tail));
    }
  }
}

/* Runs the complete lines that are buffered, as long as their replies have room. */
static void run_lines(struct conn *c) {
  size_t at = 0;
  while (!c->is_closing && c->body_at < 0 && c->out_used < OUT_BYTES) {
    size_t behind = at + c->literal_end;
    if (behind >= c->in_used) break;
    char *line = c->in + at, *end = memchr(c->in + behind, '\n', c->in_used - behind);
    if (end == NULL) break;
    size_t next = (size_t)(end + 1 - c->in);
    if (end > line && end[-1] == '\r') end--;
    int is_waiting = 0;
    long literal = c->is_pop3 ? -1 : literal_size(c->in + behind, end, &is_waiting);
    if (literal >= 0) {
      if (is_waiting) SAY(c, "+ OK\r\n");
      c->literal_end = next - at + (size_t)literal;
      continue;
    }
    c->literal_end = 0;
    at = next;
    if (c->is_pop3) pop3_line(c, line, end);
    else imap_line(c, line, end);
  }
  memmove(c->in, c->in + at, c->in_used - at);
  c->in_used -= at;
}

static void serve(struct conn *c, uint32_t events) {
  if (events & EPOLLIN && c->in_used < IN_BYTES) {
    ssize_t n = recv(c->fd, c->in + c->in_used, IN_BYTES - c->in_used, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
      drop(c);
      return;
    }
    if (n > 0) c->in_used += (size_t)n;
  } else if (events & (EPOLLERR | EPOLLHUP)) {
    drop(c);
    return;
  }
  for (;;) {
    size_t before = c->in_used;
    run_lines(c);
    if (!flush(c) || (c->is_closing && c->out_used == 0)) {
      drop(c);
      return;
    }
    if (c->in_used == before || c->body_at >= 0 || c->out_used > 0) break;
  }
  if (c->in_used == IN_BYTES && c->body_at < 0 && c->out_used == 0) {
    drop(c); /* a line that does not fit */
    return;
  }
  int wants_write = c->out_used > 0 || c->body_at >= 0;
  if (wants_write != c->wants_write) {
    c->wants_write = wants_write;
    watch(c, wants_write ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
  }
}

static void accept_all(struct conn *listener) {
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL) die("calloc");
    c->fd = fd;
    c->is_pop3 = listener->is_pop3;
    c->backend = listener->backend;
    c->user = -1;
    c->body_at = -1;
    if (c->is_pop3) sayf(c, "+OK %sbench ready.\r\n", is_trusting ? "[XCLIENT] " : "");
    else SAY(c, "* OK [CAPABILITY " CAPS " AUTH=PLAIN] bench ready.\r\n");
    if (!flush(c)) {
      drop(c);
      continue;
    }
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
  }
}

/* Listens on address:*port; port 0 is replaced by the chosen one. */
static void listen_on(const char *address, int *port, int backend, int is_pop3) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
  if (inet_pton(AF_INET, address, &in.sin_addr) != 1) die(address);
  struct conn *c = calloc(1, sizeof *c);
  if (c == NULL) die("calloc");
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  c->is_listener = 1;
  c->is_pop3 = is_pop3;
  c->backend = backend;
  int on = 1;
  setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(c->fd, (struct sockaddr *)&in, sizeof in) < 0) die("bind");
  if (listen(c->fd, 4096) < 0) die("listen");
  socklen_t size = sizeof in;
  getsockname(c->fd, (struct sockaddr *)&in, &size);
  *port = ntohs(in.sin_port);
  watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void make_body(void) {
  body_fd = memfd_create("bench-body", MFD_CLOEXEC);
  if (body_fd < 0) die("memfd");
  for (int i = 0; i < CHUNK_BYTES / BODY_LINE_BYTES; i++)
    if (write(body_fd, BODY_LINE, BODY_LINE_BYTES) != BODY_LINE_BYTES) die("memfd");
}

static void report(void) {
  printf("{\"violations\":%lu,\"badLogins\":%lu,\"badCommands\":%lu,\"backends\":[", violations,
         bad_logins, bad_commands);
  for (int i = 0; i < backend_count; i++)
    printf("%s{\"host\":\"%s\",\"logins\":%lu,\"sessions\":%lu}", i ? "," : "", addresses[i],
           logins[i], open_sessions[i]);
  printf("]}\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  int imap_port = 0, pop3_port = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--listen") == 0 && backend_count < MAX_BACKENDS)
      addresses[backend_count++] = argv[i + 1];
    else if (strcmp(argv[i], "--body-bytes") == 0) body_bytes = atol(argv[i + 1]);
    else if (strcmp(argv[i], "--trusting") == 0) is_trusting = atoi(argv[i + 1]);
    else {
      fprintf(stderr, "unknown option %s\n", argv[i]);
      return 64;
    }
  }
  if (backend_count == 0 || body_bytes < BODY_LINE_BYTES) return 64;
  /* sendfile to a client that has gone: an error, not a signal. */
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  held = calloc((size_t)MAX_USERS * MAX_BACKENDS, sizeof *held);
  epfd = epoll_create1(EPOLL_CLOEXEC);
  if (held == NULL || epfd < 0) die("setup");
  make_body();
  for (int i = 0; i < backend_count; i++) {
    listen_on(addresses[i], &imap_port, i, 0);
    listen_on(addresses[i], &pop3_port, i, 1);
  }
  struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &input) < 0) die("stdin");
  printf("{\"ready\":true,\"imapPort\":%d,\"pop3Port\":%d}\n", imap_port, pop3_port);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(epfd, events, 256, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct conn *c = events[i].data.ptr;
      if (c == NULL) {
        char line[256];
        if (read(0, line, sizeof line) <= 0) {
          report();
          return 0;
        }
        report();
      } else if (c->is_listener) accept_all(c);
      else serve(c, events[i].events);
    }
  }
}
