/* Every call of verbund/device.h, one per line of standard input: what test_device_library.py asks for.
     device_calls FILE */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <verbund/device.h>

static verbund_device *device;
static pthread_t in_thread;

static const char *const results[] = {"canceled", "failed", "succeeded"};

static void say(const char *what, verbund_error *error) {
  printf("%s %s%s%s\n", what, error == NULL ? "ok" : error->code, error == NULL ? "" : ": ", error == NULL ? "" : error->message);
  fflush(stdout);
  verbund_error_free(error);
}

static void heard(const verbund_reject *reject, void *word) {
  printf("%s %lld %s %s %s %s %s\n", (const char *)word, (long long)reject->id, reject->table, reject->op, reject->key, reject->reason, reject->state);
  fflush(stdout);
}

static void in_line(uint64_t place, void *context) {
  (void)context;
  printf("in line %llu\n", (unsigned long long)place);
  fflush(stdout);
}

static void synced(const verbund_sync_report *report, const verbund_error *error, void *context) {
  (void)context;
  printf("background %s %s\n", results[report->result], error == NULL ? "ok" : error->code);
  fflush(stdout);
}

static void sync_now(const char *who) {
  verbund_error *error = NULL;
  verbund_sync_report report;
  const verbund_sync_result result = verbund_device_sync(device, NULL, &report, &error);
  char line[80];
  snprintf(line, sizeof line, "%s %s, sent %llu, rejected %llu,", who, results[result], (unsigned long long)report.sent, (unsigned long long)report.rejected);
  say(line, error);
}

static void *sync_in_thread(void *nothing) {
  sync_now("thread");
  return nothing;
}

static void show_status(void) {
  verbund_error *error = NULL;
  verbund_device_status *status = verbund_device_status_read(device, &error);
  if (status != NULL) {
    printf("%s, last %s, pending %llu, undecided %llu, rejects %llu: ", status->user, status->last_result, (unsigned long long)status->pending, (unsigned long long)status->undecided,
           (unsigned long long)status->rejects);
  }
  verbund_device_status_free(status);
  say("status", error);
}

static void call_with_null(void) {
  verbund_error *error = NULL;
  if (verbund_device_open(NULL, &error) == NULL) say("open", error);
  error = NULL;
  if (verbund_device_enrol("x.db", NULL, "code", NULL, &error) == NULL) say("enrol", error);
  if (verbund_device_enrol(NULL, NULL, NULL, NULL, NULL) == NULL) say("enrol without error", NULL);
  verbund_device_close(NULL);
  verbund_error_free(NULL);
  verbund_device_status_free(NULL);
}

int main(int argc, char **argv) {
  verbund_error *error = NULL;
  char line[80];
  if (argc != 2) return 2;
  device = verbund_device_open(argv[1], &error);
  say("open", error);
  if (device == NULL) return 1;
  verbund_device_on_waiting(device, in_line, NULL);
  verbund_device_on_reject(device, heard, (void *)"heard");
  verbund_device_on_synced(device, synced, NULL);
  while (fgets(line, sizeof line, stdin) != NULL) {
    const long long number = strchr(line, ' ') == NULL ? 0 : atoll(strchr(line, ' '));
    error = NULL;
    line[strcspn(line, " \n")] = '\0';
    if (strcmp(line, "sync") == 0) {
      sync_now("sync");
    } else if (strcmp(line, "thread") == 0) {
      if (pthread_create(&in_thread, NULL, sync_in_thread, NULL) != 0) return 3;
    } else if (strcmp(line, "join") == 0) {
      if (pthread_join(in_thread, NULL) != 0) return 3;
      say("join", NULL);
    } else if (strcmp(line, "cancel") == 0) {
      verbund_device_cancel(device);
      say("cancel", NULL);
    } else if (strcmp(line, "status") == 0) {
      show_status();
    } else if (strcmp(line, "rejects") == 0) {
      verbund_device_rejects(device, number != 0, heard, (void *)"reject", &error);
      say("rejects", error);
    } else if (strcmp(line, "dismiss") == 0) {
      verbund_device_dismiss(device, number, &error);
      say("dismiss", error);
    } else if (strcmp(line, "take") == 0) {
      verbund_device_take_mine(device, number, &error);
      say("take", error);
    } else if (strcmp(line, "background") == 0) {
      verbund_device_start_background(device, NULL, (uint32_t)number, &error);
      say("started", error);
    } else if (strcmp(line, "stop") == 0) {
      verbund_device_stop_background(device);
      say("stopped", NULL);
    } else if (strcmp(line, "null") == 0) {
      call_with_null();
    } else {
      return 4;
    }
  }
  verbund_device_close(device);
  say("closed", NULL);
  return 0;
}
